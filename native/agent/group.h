/*
 * A cgroup for each program, so that everything it started can be ended with it: also what made a session of its own.
 *
 * Where there are none (a test on a host, a guest that unmounted them) the process group has to do. A group in which something
 * runs on after its program has ended stays, and is removed when it is found empty.
 */
#ifndef AGENT_GROUP_H
#define AGENT_GROUP_H

#include <stdbool.h>
#include <sys/types.h>

struct group {
	unsigned number; /* 0: none */
	int fd;          /* its folder, for struct launch, or -1 */
};

/* Uses cgroups below this folder of a cgroup2 file system, which is made. */
void groups_open(const char *folder);

struct group group_new(void);

/* Makes all that runs in them stand still, or go on. 0, or -errno: -ENOENT where there are none. */
int groups_freeze(bool frozen);
/* Whether all of it stands still, also what was busy in the kernel. */
bool groups_are_frozen(void);

/* Its program has been started, or has not: the descriptor is of no more use. */
void group_started(struct group *group);

/* Kills all in it, and in the process group of that leader, which must not have been reaped; 0 for none. */
void group_kill(const struct group *group, pid_t leader);

/* The program has ended; its group goes now if nothing runs in it. */
void group_leave_if_empty(struct group *group);

/* As group_leave_if_empty(), but what runs in it is of no more interest; its group goes as soon as it is empty. */
void group_leave(struct group *group);

/* Removes what was left, and makes the next one ahead; between turns of the loop. */
void groups_sweep(void);

#endif
