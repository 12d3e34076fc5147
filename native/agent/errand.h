/*
 * An errand: work on the guest's files for one client, done by a process of its own that is forked for it.
 *
 *   client --request--> agent --fork--> errand, as the user that was asked for
 *   client <--FILE, EVENT, END-- agent <--messages-- errand         client --FILE--> agent --messages--> errand
 *
 * So a file system that does not answer, a FIFO or a tree of a million files keeps only that one client waiting and never the agent; what
 * the user may do is decided by the kernel and not by us; and a client that goes away ends it. A process that is not us any more needs
 * none of our descriptors, and nobody may look into it for our secret.
 *
 * A writer whose client goes finds out, and takes back what it had begun; one that does not for a while is killed, as any other at once.
 */
#ifndef AGENT_ERRAND_H
#define AGENT_ERRAND_H

#include <stdbool.h>

#include "exchange.h"
#include "file_request.h"
#include "session.h"

/* In the errand's process. Writes an END object and returns 0, or returns -errno. */
typedef int (*errand_work)(const struct file_request *request, struct exchange *exchange, struct text *answer);

/* The default working directory of programs is where relative paths begin. */
void errands_open(const char *cwd);

/* Takes the session. 0, or -errno when it cannot be started: -EAGAIN when there are too many. `takes_input`: the client sends FILE frames. */
int errand_start(struct session *session, const struct file_request *request, errand_work work, bool takes_input);

/* Frees those that are done; between turns of the loop. */
void errands_sweep(void);

#endif
