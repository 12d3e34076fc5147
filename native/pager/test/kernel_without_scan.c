/*
 * kernel_without_scan.c - kernel.c as it is on a kernel before 6.7, when BOUGH_TEST_NO_PAGEMAP_SCAN is set, and on one that
 * allows a process BOUGH_TEST_MAX_MAPPINGS mappings, when that is.
 */
#define kernel_probe kernel_probe_here
#define kernel_has_pagemap_scan kernel_has_pagemap_scan_here
#define pagemap_scan pagemap_scan_here
#define kernel_max_mappings kernel_max_mappings_here
#include "../kernel.c"
#undef kernel_probe
#undef kernel_has_pagemap_scan
#undef pagemap_scan
#undef kernel_max_mappings

#include <stdlib.h>

enum tracking kernel_probe(void);
bool kernel_has_pagemap_scan(void);
size_t kernel_max_mappings(void);
int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum scan_filter filter, struct page_run *buffer,
		 size_t buffer_runs, int (*each)(void *arg, const struct page_run *run), void *arg);

bool kernel_has_pagemap_scan(void)
{
	return !getenv("BOUGH_TEST_NO_PAGEMAP_SCAN") && kernel_has_pagemap_scan_here();
}

size_t kernel_max_mappings(void)
{
	const char *limit = getenv("BOUGH_TEST_MAX_MAPPINGS");

	return limit ? strtoul(limit, NULL, 10) : kernel_max_mappings_here();
}

enum tracking kernel_probe(void)
{
	enum tracking here = kernel_probe_here();
	return here == TRACKING_ASYNC && !kernel_has_pagemap_scan() ? TRACKING_SYNC : here;
}

int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, enum scan_filter filter, struct page_run *buffer,
		 size_t buffer_runs, int (*each)(void *arg, const struct page_run *run), void *arg)
{
	if (getenv("BOUGH_TEST_NO_PAGEMAP_SCAN"))
		return -ENOTTY;
	return pagemap_scan_here(pagemap_fd, start, end, filter, buffer, buffer_runs, each, arg);
}
