#define _GNU_SOURCE
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define FEATURE_PAGEFAULT_FLAG_WP (1ull << 0)
#define FEATURE_WP_HUGETLBFS_SHMEM (1ull << 12)
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC (1ull << 15)

struct pm_scan_request {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define IOCTL_PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_request)
#define SCAN_WP_MATCHING (1ull << 0)
#define SCAN_CHECK_WPASYNC (1ull << 1)
#define CATEGORY_WRITTEN (1ull << 1)
#define CATEGORY_FILE (1ull << 2)
#define CATEGORY_PRESENT (1ull << 3)
#define CATEGORY_SWAPPED (1ull << 4)
#define CATEGORY_PFNZERO (1ull << 5)

/* _IO(0xAA, 0x00); Linux 6.1 has it, the headers of some that run on it do not. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

static int device_fd = -1; /* set before any other thread is there */

int kernel_use_device(int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	device_fd = fd;
	return 0;
}

static long open_sync(long flags)
{
	return device_fd < 0 ? syscall(SYS_userfaultfd, flags) : ioctl(device_fd, USERFAULTFD_IOC_NEW, flags);
}

int uffd_open(enum tracking kind, int *fd)
{
	/*
	 * Asynchronous tracking never asks us anything, so faults taken inside the kernel need no privilege.
	 * Synchronous tracking must also see the faults of preadv() into guest memory, which user-mode-only hides.
	 */
	long flags = O_CLOEXEC | O_NONBLOCK | (kind == TRACKING_ASYNC ? UFFD_USER_MODE_ONLY : 0);
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_HUGETLBFS_SHMEM,
	};
	long opened = kind == TRACKING_ASYNC ? syscall(SYS_userfaultfd, flags) : open_sync(flags);

	if (opened < 0)
		return -errno;
	if (kind == TRACKING_ASYNC)
		api.features |= FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;
	if (ioctl((int)opened, UFFDIO_API, &api) < 0) {
		int error = -errno;
		close((int)opened);
		return error;
	}
	*fd = (int)opened;
	return 0;
}

int uffd_register_wp(int fd, uint64_t start, size_t bytes)
{
	struct uffdio_register request = {
		.range = {.start = start, .len = bytes},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	return ioctl(fd, UFFDIO_REGISTER, &request) < 0 ? -errno : 0;
}

int uffd_unregister(int fd, uint64_t start, size_t bytes)
{
	struct uffdio_range range = {.start = start, .len = bytes};
	return ioctl(fd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

static int writeprotect_range(int fd, uint64_t start, size_t bytes, bool protect)
{
	struct uffdio_writeprotect request = {
		.range = {.start = start, .len = bytes},
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	/* EAGAIN: the address space is changing under us (mremap, fork); the kernel asks to try again. */
	while (ioctl(fd, UFFDIO_WRITEPROTECT, &request) < 0)
		if (errno != EAGAIN)
			return -errno;
	return 0;
}

int uffd_writeprotect(int fd, uint64_t start, size_t bytes, bool protect)
{
	int error = writeprotect_range(fd, start, bytes, protect);
	size_t half = bytes / PAGE_BYTES / 2 * PAGE_BYTES;

	/* Before Linux 6.3 one call reaches no further than one mapping, and says so by ENOENT. */
	if (error != -ENOENT || half == 0)
		return error;
	error = uffd_writeprotect(fd, start, half, protect);
	return error ? error : uffd_writeprotect(fd, start + half, bytes - half, protect);
}

int uffd_read_faults(int fd, uint64_t *addresses, int max)
{
	struct uffd_msg messages[32];
	int limit = max < 32 ? max : 32;
	ssize_t got = read(fd, messages, (size_t)limit * sizeof(messages[0]));
	int found = 0;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < (size_t)got / sizeof(messages[0]); i++)
		if (messages[i].event == UFFD_EVENT_PAGEFAULT)
			addresses[found++] = messages[i].arg.pagefault.address & ~(uint64_t)(PAGE_BYTES - 1);
	return found;
}

/*
 * The masks of a scan. What stands in none of them the kernel does not look up, and FILE is the costly one: it means a
 * look at the kernel's record of each page. Every filter asks for any of PRESENT and SWAPPED, which leaves out holes.
 *
 *   filter            protects  must be               why
 *   PRIVATE           no        not FILE, not PFNZERO  what a child lacks: neither a layer's nor the zero page
 *   WRITTEN           no        WRITTEN                inside the pause: no look at FILE
 *   WRITTEN_AND_ARM   yes       WRITTEN                the same, and arms it again in one step; told apart by FILE, which is not
 *                                                      asked for: what is a layer's is to be armed as well
 */
static struct pm_scan_request scan_request(enum scan_filter filter)
{
	struct pm_scan_request request = {
		.size = sizeof(request),
		.category_anyof_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED,
		.return_mask = CATEGORY_PRESENT,
	};

	if (filter == SCAN_WRITTEN_AND_ARM) {
		request.flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC;
		request.return_mask |= CATEGORY_FILE;
	}
	if (filter == SCAN_PRIVATE)
		request.category_mask = request.category_inverted = CATEGORY_FILE | CATEGORY_PFNZERO;
	else
		request.category_mask = CATEGORY_WRITTEN;
	return request;
}

int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum scan_filter filter, struct page_run *buffer,
		 size_t buffer_runs, int (*each)(void *arg, const struct page_run *run), void *arg)
{
	struct pm_scan_request request = scan_request(filter);

	request.end = end;
	request.vec = (uintptr_t)buffer;
	request.vec_len = buffer_runs;
	while (start < end) {
		request.start = start;
		int found = ioctl(pagemap_fd, IOCTL_PAGEMAP_SCAN, &request);
		if (found < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (int i = 0; i < found; i++) {
			/* Set where it was asked for alone. Looked at and armed in one step, the page is the layer's until it counts as written. */
			int stop = buffer[i].categories & CATEGORY_FILE ? 0 : each(arg, &buffer[i]);
			if (stop)
				return stop;
		}
		if ((size_t)found < buffer_runs)
			return 0;
		start = buffer[found - 1].end;
	}
	return 0;
}

int pagemap_read_private(int pagemap_fd, uint64_t start, uint64_t end,
			 int (*each)(void *arg, const struct page_run *run), void *arg)
{
	/* Bits of an entry: 63 present, 62 swapped, 61 file page, 56 mapped here alone (never set on the zero page). */
	uint64_t entries[512];
	struct page_run run = {0, 0, 0};

	while (start < end) {
		size_t want = (end - start) / PAGE_BYTES;
		if (want > 512)
			want = 512;
		ssize_t got = pread(pagemap_fd, entries, want * 8, (off_t)(start / PAGE_BYTES * 8));
		if (got < 8)
			return got < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)got / 8; i++, start += PAGE_BYTES) {
			bool file = entries[i] >> 61 & 1;
			bool swapped = entries[i] >> 62 & 1;
			bool alone = entries[i] >> 63 && entries[i] >> 56 & 1;
			if (file || !(swapped || alone))
				continue;
			if (run.end == start) {
				run.end += PAGE_BYTES;
				continue;
			}
			if (run.end) {
				int stop = each(arg, &run);
				if (stop)
					return stop;
			}
			run.start = start;
			run.end = start + PAGE_BYTES;
		}
	}
	return run.end ? each(arg, &run) : 0;
}

static int ignore_run(void *arg, const struct page_run *run)
{
	(void)arg;
	(void)run;
	return 0;
}

bool kernel_has_pagemap_scan(void)
{
	struct page_run run;
	uint64_t page = (uintptr_t)&run & ~(uint64_t)(PAGE_BYTES - 1);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return false;
	error = pagemap_scan(fd, page, page + PAGE_BYTES, SCAN_PRIVATE, &run, 1, ignore_run, NULL);
	close(fd);
	return error == 0;
}

size_t kernel_max_mappings(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	size_t limit;

	if (!file)
		return SIZE_MAX;
	if (fscanf(file, "%zu", &limit) != 1)
		limit = SIZE_MAX;
	fclose(file);
	return limit;
}

enum tracking kernel_probe(void)
{
	int fd;

	if (kernel_has_pagemap_scan() && uffd_open(TRACKING_ASYNC, &fd) == 0) {
		close(fd);
		return TRACKING_ASYNC;
	}
	if (uffd_open(TRACKING_SYNC, &fd) == 0) {
		close(fd);
		return TRACKING_SYNC;
	}
	return TRACKING_NONE;
}
