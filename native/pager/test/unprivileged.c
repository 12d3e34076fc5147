/*
 * unprivileged.c - what userfaultfd a process without privileges gets: the synchronous kind only by a device that was opened when it had them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../test/check.h"
#include "../kernel.h"

#define NOBODY 65534

uint64_t check_seed;
_Atomic unsigned long check_count;

static void drop_privileges(void)
{
	CHECK(setgroups(0, NULL) == 0, "errno %d", errno);
	CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0, "errno %d", errno);
	CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0, "errno %d", errno);
}

static void check_protects(int uffd)
{
	char *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED, "errno %d", errno);
	*page = 1;
	CHECK(uffd_register_wp(uffd, (uintptr_t)page, PAGE_BYTES) == 0, "not registered");
	CHECK(uffd_writeprotect(uffd, (uintptr_t)page, PAGE_BYTES, true) == 0, "not protected");
	CHECK(uffd_unregister(uffd, (uintptr_t)page, PAGE_BYTES) == 0, "not lifted");
}

int main(void)
{
	int device = open("/dev/userfaultfd", O_RDWR), uffd;

	if (geteuid() != 0 || device < 0) {
		printf("unprivileged: skipped: needs root and /dev/userfaultfd\n");
		return 0;
	}
	drop_privileges();
	if (uffd_open(TRACKING_SYNC, &uffd) == 0) {
		printf("unprivileged: skipped: this kernel lets everybody (vm.unprivileged_userfaultfd)\n");
		return 0;
	}
	CHECK(kernel_use_device(device) == 0, "not taken");
	CHECK(fcntl(device, F_GETFD) & FD_CLOEXEC, "it would be open in programs that are started");
	CHECK(uffd_open(TRACKING_SYNC, &uffd) == 0, "refused");
	check_protects(uffd);
	close(uffd);
	CHECK(kernel_use_device(-1) == -EBADF, "a descriptor that is none");
	CHECK(uffd_open(TRACKING_SYNC, &uffd) == 0, "the device before is gone");
	close(uffd);
	printf("unprivileged: %lu checks\n", check_count);
	return 0;
}
