/*
 * Who this machine is and who may talk to it: the secret, the default environment, and what identify does.
 *
 * The first identify claims a machine that was booted and has no secret yet. Each later one must know the secret it replaces. It is
 * called after a restore, before anyone else is let in, and makes a copy a machine of its own: random numbers, clock, hostname. A step of
 * these that fails fails the call: a child that was not reseeded must not be used. None of them needs the image's disk.
 *
 * The state is kept in a folder that no program of the guest sees, so that an agent that is started again still knows its owner.
 *
 * Not handled: random number generators inside running programs (see docs/internals/agent-protocol.md).
 */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include <stdbool.h>

#include "env.h"
#include "fields.h"
#include "json.h"

/* Takes the state from that folder. `privileged`: it may change this machine. */
int identity_open(int state_fd, bool privileged);

bool identity_claimed(void);

/* Whether the request carries the secret; nothing passes before there is one. Constant time. */
bool identity_knows(struct json request);

/* What the owner added to the environment. */
const struct env *identity_env(void);

/* Takes the new identity; whether the request may ask for it is the caller's to check. 0; -EINVAL, -ENOMEM; or -EIO with *problem the
 * step that failed. */
int identity_take(struct json request, struct problem *problem);

/* Adds to the default environment what the request has. As identity_take(). */
int identity_add_env(struct json request, struct problem *problem);

/* The wall clock alone, as a pause has left it behind. */
int identity_set_clock(int64_t unix_time_ns);

#endif
