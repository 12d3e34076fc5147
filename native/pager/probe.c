/*
 * probe.c - what this kernel and these privileges let the pager do, as one line of JSON for `bough doctor`.
 *
 * userfaultfd_user_mode serves asynchronous tracking; userfaultfd_kernel_faults serves the synchronous kind (an
 * oversized residue, kernels before 6.7). Always exits 0: a missing capability is a fact, not a failure.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel.h"

static bool userfaultfd_opens(int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, flags);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool tracking_opens(enum tracking kind)
{
	int fd;
	int error = uffd_open(kind, &fd);

	if (!error)
		close(fd);
	return !error;
}

/* The number in a file of /proc/sys; -1 without one. */
static long sysctl_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

int main(void)
{
	static const char *const names[] = {[TRACKING_NONE] = "none", [TRACKING_SYNC] = "sync", [TRACKING_ASYNC] = "async"};
	static const char *const words[] = {"false", "true"};
	struct utsname kernel = {.release = ""};

	uname(&kernel);
	printf("{\"tracking\":\"%s\",\"async_tracking\":%s,\"sync_tracking\":%s,\"pagemap_scan\":%s,"
	       "\"userfaultfd_user_mode\":%s,\"userfaultfd_kernel_faults\":%s,\"max_map_count\":%ld,"
	       "\"unprivileged_userfaultfd\":%ld,\"page_bytes\":%ld,\"kernel\":\"%s\"}\n",
	       names[kernel_probe()], words[tracking_opens(TRACKING_ASYNC)], words[tracking_opens(TRACKING_SYNC)],
	       words[kernel_has_pagemap_scan()], words[userfaultfd_opens(1 /* UFFD_USER_MODE_ONLY */)],
	       words[userfaultfd_opens(0)], sysctl_number("/proc/sys/vm/max_map_count"),
	       sysctl_number("/proc/sys/vm/unprivileged_userfaultfd"), sysconf(_SC_PAGESIZE), kernel.release);
	return 0;
}
