/*
 * Starting a program. By vfork(): the agent's pages stay its own, none is copied for a child that replaces them at once.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include <stdbool.h>

#include "env.h"
#include "user.h"

struct launch {
	char *const *args;
	/* Settled; the program is looked for in its PATH. */
	const struct env *env;
	const char *cwd;
	/* Whom it runs as, or NULL. */
	const struct user *user;
	int stdin_fd, stdout_fd, stderr_fd;
	/* One more descriptor that it gets under the same number, or -1. */
	int passed_fd;
	/* Not as the image's user (user.h). */
	bool as_root;
	/* cgroup.procs of the group that it begins in, or -1. */
	int group_fd;
	/* Standard input is a terminal, to be that of its session. */
	bool terminal;
};

/* A session and process group of its own; *pidfd is readable when it has ended. 0, or -errno of what could not be done,
 * -EUSERS where the image's user is unknown. */
int spawn(const struct launch *launch, pid_t *pid, int *pidfd);

/* After its pidfd became readable: as a shell says it, 128 + n after signal n. */
int reap(pid_t pid, int *signal);

/* Init protects the agent from the kernel's out-of-memory killer; what the agent starts does not inherit that. */
void spawn_resets_oom(void);

/* That, in a child of the agent. */
void spawn_leave_oom_score(void);

/* The agent takes all descriptors it may have; what it starts gets the limit that was. */
void spawn_raise_descriptors(void);

#endif
