/* Children, as fork() and vfork() make them, with a pidfd and in a cgroup. */
#ifndef AGENT_CLONE_H
#define AGENT_CLONE_H

#include <stddef.h>
#include <sys/types.h>

struct clone_request {
	/* The cgroup that it begins in, or -1. */
	int group_fd;
	/* Where its pidfd goes and, before it runs, its number; the latter may be NULL. */
	int *pidfd;
	pid_t *pid;
};

/* As fork(). */
pid_t clone_apart(const struct clone_request *request);

/* As vfork(): the child runs `begin`, which does not return, on that stack in the caller's memory; the caller stands still until it runs a program or ends. */
pid_t clone_shared(const struct clone_request *request, char *stack, size_t stack_bytes, void (*begin)(void));

#endif
