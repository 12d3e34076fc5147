#define _GNU_SOURCE
#include "signals.h"

#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"

/* Of glibc 2.36 and what is newer; all architectures have the same number. */
#define CALL_PIDFD_SEND_SIGNAL 424

int signals_confine(void)
{
	struct sock_filter program[] = {
		LOAD(arch),
		UNLESS_EQUAL(NATIVE_ARCH, 18),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI_BIT, 16, 0),
		/* A thread that is named without its process, or by a descriptor, may be anybody's. */
		IF_EQUAL(SYS_tkill, 15),
		IF_EQUAL(CALL_PIDFD_SEND_SIGNAL, 14),
		IF_EQUAL(SYS_kill, 10),
		IF_EQUAL(SYS_tgkill, 9),
		IF_EQUAL(SYS_rt_sigqueueinfo, 8),
		IF_EQUAL(SYS_rt_tgsigqueueinfo, 7),
		/* Whom a file signals that is ready; the commands of either call are none of the other's. */
		IF_EQUAL(SYS_fcntl, 1),
		UNLESS_EQUAL(SYS_ioctl, 7),
		LOAD(args[1]),
		IF_EQUAL(F_SETOWN, 6),
		IF_EQUAL(F_SETOWN_EX, 5),
		IF_EQUAL(FIOSETOWN, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIOCSPGRP, 3, 2),
		LOAD(args[0]),
		UNLESS_EQUAL((uint32_t)getpid(), 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 ? 0 : -errno;
}
