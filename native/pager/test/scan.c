/*
 * scan.c - the kernel's scan, alone: every run once, in order, however many there are and however few fit.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kernel.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define MAX_RUNS 9000
/* Twice as many pages as runs, and as many again that nobody touches: the walk goes on after the last run. */
#define PAGES (4ul * MAX_RUNS)

static struct {
	uint8_t *memory;
	size_t reported; /* runs so far */
	size_t stride;   /* pages from one run to the next */
} field;

static int expect_next(void *arg, const struct page_run *run)
{
	uint64_t page = (run->start - (uintptr_t)field.memory) / PAGE_BYTES;

	(void)arg;
	CHECK(run->end == run->start + PAGE_BYTES, "a run of %lu bytes", (unsigned long)(run->end - run->start));
	CHECK(page == field.reported * field.stride, "run %zu is of page %lu", field.reported, (unsigned long)page);
	field.reported++;
	return 0;
}

static void scan(int pagemap_fd, enum scan_filter filter, size_t runs, size_t buffer_runs)
{
	static struct page_run buffer[8192];
	uint64_t start = (uintptr_t)field.memory;

	field.reported = 0;
	int error = pagemap_scan(pagemap_fd, start, start + PAGES * PAGE_BYTES, filter, buffer, buffer_runs, expect_next, NULL);
	CHECK(error == 0, "errno %d", -error);
	CHECK(field.reported == runs, "%zu of %zu runs, buffer of %zu", field.reported, runs, buffer_runs);
}

static void write_pages(size_t runs)
{
	for (size_t i = 0; i < runs; i++)
		field.memory[i * field.stride * PAGE_BYTES]++;
}

static void forget_pages(void)
{
	CHECK(madvise(field.memory, PAGES * PAGE_BYTES, MADV_DONTNEED) == 0, "no DONTNEED");
}

/* The kernel's own collection holds 512: on both sides of that, and where a buffer is exactly full. */
void scenario_scan(const char *dir, uint64_t seed)
{
	static const size_t counts[] = {0, 1, 2, 7, 511, 512, 513, 600, 1000, 1024, 1025, 4096, 8191, 8192, 8193, MAX_RUNS};
	static const size_t buffers[] = {1, 2, 511, 512, 513, 1000, 1024, 8192};
	int pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), uffd;

	(void)dir;
	(void)seed;
	if (kernel_probe() != TRACKING_ASYNC) {
		printf("fake_vmm: skipped: scans: no asynchronous tracking here\n");
		return;
	}
	field.stride = 2;
	field.memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pagemap_fd >= 0 && field.memory != MAP_FAILED, "no memory");
	CHECK(madvise(field.memory, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE) == 0, "huge pages");
	CHECK(uffd_open(TRACKING_ASYNC, &uffd) == 0, "no userfaultfd");
	CHECK(uffd_register_wp(uffd, (uintptr_t)field.memory, PAGES * PAGE_BYTES) == 0, "not registered");
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		for (size_t b = 0; b < sizeof(buffers) / sizeof(buffers[0]); b++) {
			forget_pages();
			write_pages(counts[c]);
			scan(pagemap_fd, SCAN_PRIVATE, counts[c], buffers[b]);
			scan(pagemap_fd, SCAN_WRITTEN_AND_ARM, counts[c], buffers[b]);
			scan(pagemap_fd, SCAN_WRITTEN, 0, buffers[b]);
			write_pages(counts[c] / 2);
			scan(pagemap_fd, SCAN_WRITTEN, counts[c] / 2, buffers[b]);
			scan(pagemap_fd, SCAN_WRITTEN_AND_ARM, counts[c] / 2, buffers[b]);
			scan(pagemap_fd, SCAN_WRITTEN, 0, buffers[b]);
		}
	}
	close(uffd);
	close(pagemap_fd);
}
