/*
 * Begins children in the agent's own memory, as vfork() does: no page tables are copied, and no page of either is copied when it is written
 * next, a good part of a short program's time under TCG.
 *
 * Who calls vfork() stands still until the child runs its program, and a file system that does not answer keeps a child from that for as long as
 * it likes. So a thread of its own does it. While that stands still another program is begun with a fork of its own: nobody waits.
 */
#ifndef AGENT_SPAWNER_H
#define AGENT_SPAWNER_H

#include <stdbool.h>

#include "spawn.h"

/* Begins the thread, which calls `first` first. Without it, spawner_start() starts nothing. */
void spawner_open(void (*first)(void));

/*
 * As fork(), into child->pid (or -errno) and child->pidfd. `begin` gets copies of the two, runs on a stack of its own, and must neither return
 * nor allocate, nor change anything in memory. False where nothing was begun: the spawner stands still, there is no memory, or nobody
 * knows how to do it on this processor.
 */
bool spawner_start(const struct launch *launch, const struct user *user, int report_fd, struct child *child,
		   void (*begin)(const struct launch *launch, const struct user *user, int report_fd));

#endif
