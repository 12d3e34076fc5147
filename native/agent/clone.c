#include "clone.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As linux/sched.h has them, which musl's compiler does not find. */
#define INTO_CGROUP (1ull << 33)
struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_count, cgroup;
};

/* What every kernel knows of it that has the call (5.3); one that does not know the rest refuses it unless it is zero. */
#define FIRST_CLONE_BYTES offsetof(struct clone_arguments, set_tid)

typedef pid_t caller(const struct clone_arguments *how, size_t bytes, void (*begin)(void));

static pid_t call(const struct clone_arguments *how, size_t bytes, void (*begin)(void))
{
	(void)begin; /* the child returns as the parent does */
	return (pid_t)syscall(SYS_clone3, how, bytes);
}

/* No function of a library: the child must not return into frames that the parent returns into after it. */
static pid_t call_onto(const struct clone_arguments *how, size_t bytes, void (*begin)(void))
{
#ifdef __x86_64__
	long result = SYS_clone3;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%[begin]\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(result)
			 : "D"(how), "S"(bytes), [begin] "d"(begin)
			 : "rcx", "r11", "cc", "memory");
	if (result >= 0)
		return (pid_t)result; /* a number of a process */
	errno = (int)-result; /* an errno */
#else
	(void)how, (void)bytes, (void)begin; /* nothing is known of how the child would get there */
	errno = ENOSYS;
#endif
	return -1;
}

/*
 * The child begins in the cgroup: one that moves there by itself waits until every processor has been through the scheduler, milliseconds for
 * each program. Where it cannot begin there (before 5.7) its members are only harder to find: no reason to stop.
 */
static pid_t clone_into(struct clone_arguments how, const struct clone_request *request, caller *with, void (*begin)(void))
{
	struct clone_arguments grouped;
	pid_t pid = -1;

	how.flags |= CLONE_PIDFD;
	how.pidfd = (uintptr_t)request->pidfd;
	how.exit_signal = SIGCHLD;
	if (request->pid != NULL) {
		how.flags |= CLONE_PARENT_SETTID;
		how.parent_tid = (uintptr_t)request->pid;
	}
	grouped = how;
	grouped.flags |= INTO_CGROUP;
	grouped.cgroup = (uint64_t)request->group_fd; /* not negative where it is used */
	if (request->group_fd >= 0)
		pid = with(&grouped, sizeof grouped, begin);
	return pid < 0 ? with(&how, FIRST_CLONE_BYTES, begin) : pid;
}

pid_t clone_apart(const struct clone_request *request)
{
	return clone_into((struct clone_arguments){ 0 }, request, call, NULL);
}

pid_t clone_shared(const struct clone_request *request, char *stack, size_t stack_bytes, void (*begin)(void))
{
	const struct clone_arguments how = { .flags = CLONE_VM | CLONE_VFORK, .stack = (uintptr_t)stack,
					     .stack_bytes = stack_bytes };

	return clone_into(how, request, call_onto, begin);
}
