#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "calls.h"
#include "filter.h"

static int set_filter(void)
{
	struct sock_filter program[] = {
		LOAD(arch),
		UNLESS_EQUAL(NATIVE_ARCH, 7),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI_BIT, 5, 0),
		IF_EQUAL(SYS_io_uring_setup, 4),
		UNLESS_EQUAL(SYS_socket, 2),
		LOAD(args[0]),
		UNLESS_EQUAL(AF_UNIX, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ERRNO | EACCES),
	};
	struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	/* TSYNC: on all threads. A positive answer is the thread it could not be set on. */
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
	return result == 0 ? 0 : result > 0 ? -ESRCH : -errno;
}

int seal_process(void)
{
	static const int families[] = {AF_INET, AF_INET6, AF_PACKET, AF_NETLINK};
	int error = set_filter();

	if (error)
		return error;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		int fd = call_socket(families[i], SOCK_DGRAM, 0);
		if (fd >= 0) {
			call_close(fd);
			return -EBADE;
		}
		if (errno != EACCES)
			return -EBADE; /* the kernel's own reason, not the filter's */
	}
	return 0;
}
