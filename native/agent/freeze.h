/*
 * The guest's programs stand still while a client holds them, so that a capture of the machine has all of them, and each copy can be made
 * its own before they go on.
 *
 *   freeze {}   EVENT {"frozen":true} when all stand still; then nothing. They go on when
 *     the client closes or dies    this is the machine that was captured
 *     identify has done its work   this is a copy, which hears nothing of that client any more
 *     LONGEST_MS have passed       whatever became of the client
 *
 * Programs are what the agent has started, and what those have; the agent, its errands and the kernel go on.
 *
 * Not handled: what root in the guest has put into cgroups of its own; guests without cgroups, which refuse (`no_freezer`).
 */
#ifndef AGENT_FREEZE_H
#define AGENT_FREEZE_H

#include "session.h"

void run_freeze(struct session *session, struct json request);

#endif
