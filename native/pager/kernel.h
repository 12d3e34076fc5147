/*
 * kernel.h - one wrapper per system call the pager needs, with constants of its own.
 *
 * Distribution headers lag the kernel that runs (Debian 12 has 6.1 headers; PAGEMAP_SCAN is Linux 6.7), so the
 * numbers stand here and kernel_probe() finds out at run time what works. Sources: Linux
 * Documentation/admin-guide/mm/userfaultfd.rst and pagemap.rst, include/uapi/linux/{fs,userfaultfd}.h.
 *
 * Every function returns 0 (or a count) and -errno on failure.
 */
#ifndef BOUGH_KERNEL_H
#define BOUGH_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096ul

/* A run of pages: host addresses, end exclusive. The layout is the kernel's struct page_region. */
struct page_run {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

enum tracking {
	TRACKING_NONE,  /* no userfaultfd write-protection: only diff and full work */
	TRACKING_SYNC,  /* Linux 5.19: each first write to a protected page waits for us */
	TRACKING_ASYNC, /* Linux 6.7: the kernel notes the write and lets it pass */
};

/* The best tracking this kernel and these privileges allow. */
enum tracking kernel_probe(void);

/*
 * From here on synchronous tracking is asked of this descriptor of /dev/userfaultfd (Linux 6.1): a process without privileges may not ask the
 * kernel for it otherwise. It may have been opened by whoever had them; what comes of it is of the memory of whoever asks. Call it before
 * there is another thread.
 */
int kernel_use_device(int fd);

/* Opens a userfaultfd for the given tracking. */
int uffd_open(enum tracking kind, int *fd);
int uffd_register_wp(int fd, uint64_t start, size_t bytes);
int uffd_unregister(int fd, uint64_t start, size_t bytes);
/* Protects a range, or lifts the protection and wakes whoever waits for it. */
int uffd_writeprotect(int fd, uint64_t start, size_t bytes, bool protect);
/* Takes up to max addresses of write faults off fd; returns how many, 0 when there are none now. */
int uffd_read_faults(int fd, uint64_t *addresses, int max);

/* Which pages a scan reports, and what it protects on the way. */
enum scan_filter {
	/* Written since they were mapped: not a layer's, not the zero page. Protects nothing. */
	SCAN_PRIVATE,
	/*
	 * Not protected now: never armed, written, or first read since the latest arming. A page only read is a false alarm that
	 * costs one copy of what it holds. Telling the two apart would mean a look at the kernel's record of each page, most of
	 * the scan's time, and this scan runs inside the pause.
	 */
	SCAN_WRITTEN,
	/*
	 * The same, and protects what it finds, of which it reports all but what is a layer's still: read for the first time, and as it
	 * was. This scan runs outside of the pause. For ranges where there is something to protect: KVM forgets its own mappings of
	 * all of [start, end), whatever matches, and the guest then faults on each of those pages once more.
	 */
	SCAN_WRITTEN_AND_ARM,
};

/*
 * Reports the runs of matching pages in [start, end) to each(). An arming scan reports and protects a page in one step, so that
 * no write falls between: what a page holds when it is read after the scan includes all writes that no later scan will tell of.
 * All but SCAN_PRIVATE need asynchronous tracking on the range. buffer holds room for buffer_runs runs. A non-zero return of
 * each() ends the scan and is returned.
 *
 * Runs come in order and each once. That needs care: the kernel collects at most 512 runs at a time, and notes in walk_end
 * where it stood when it last had to empty that collection; a walk that gets to the end leaves the note as it is. So
 * walk_end says nothing of how far a scan came (Linux fs/proc/task_mmu.c, do_pagemap_scan()). What does: fewer runs than
 * fit mean that all was walked, and otherwise the walk came to the end of the last run at least.
 */
int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum scan_filter filter, struct page_run *buffer,
		 size_t buffer_runs, int (*each)(void *arg, const struct page_run *run), void *arg);

/* The same for SCAN_PRIVATE on kernels without PAGEMAP_SCAN, by reading the whole of /proc/self/pagemap. */
int pagemap_read_private(int pagemap_fd, uint64_t start, uint64_t end,
			 int (*each)(void *arg, const struct page_run *run), void *arg);

bool kernel_has_pagemap_scan(void);

/* How many mappings a process may have (vm.max_map_count); SIZE_MAX when the kernel does not tell. */
size_t kernel_max_mappings(void);

#endif
