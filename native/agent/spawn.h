/*
 * Starting a program, without waiting until it has begun: a user may stop what has become his before it runs his program, and opening the
 * program may take as long as its file system or another's lease likes. None of that holds up the agent. What kept a program from beginning
 * comes through a pipe that is closed when it begins.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

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
	/* The cgroup that it begins in, or -1. */
	int group_fd;
	/* Standard input is a terminal, to be that of its session. */
	bool terminal;
};

struct child {
	pid_t pid;
	int pidfd;     /* readable when it has ended */
	int report_fd; /* readable when it has begun, or cannot */
};

/* When it begins it leads a session and a process group. 0, or -errno when there is no child; -EUSERS where the image's user is unknown. */
int spawn(const struct launch *launch, struct child *child);

/* In an errno's place, and beyond all of those. */
#define SPAWN_CANNOT_ENTER 4096

/* Whether it has begun, and then closes the descriptor: 0, or -errno (or -SPAWN_CANNOT_ENTER) of what kept it from that. -EAGAIN when that is
 * not known yet, which it always is when it has ended. One that was killed before is taken to have begun. */
int spawn_outcome(int *report_fd);

/* Its error for people. */
const char *spawn_reason(int error);

/* After its pidfd became readable: as a shell says it, 128 + n after signal n. */
int reap(pid_t pid, int *signal);

/* The agent takes all descriptors it may have; what it starts gets the limit that was. */
void spawn_raise_descriptors(void);

#endif
