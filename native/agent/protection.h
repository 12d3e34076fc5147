/*
 * The agent's protection from the kernel's out-of-memory killer, which init gave it. What the agent starts does not inherit it: it is dropped
 * for the moment of a fork. A program that gave it up itself would look up a file of /proc first, half a millisecond under TCG.
 */
#ifndef AGENT_PROTECTION_H
#define AGENT_PROTECTION_H

/* Without it the other two do nothing: the agent of a test on a host has no protection. */
void protection_open(void);

void protection_drop(void);
void protection_take(void);

#endif
