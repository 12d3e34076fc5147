/*
 * A client at a kept process: it is sent what is printed, from the offsets it asks for, and may send input.
 *
 *   EVENT {"gap"} where what it asked for is gone, STDOUT and STDERR (PTY for a terminal), END with the process's description
 *
 * END comes when the program is over, or, without `follow`, when all that was there at the beginning is sent.
 */
#ifndef AGENT_ATTACHMENT_H
#define AGENT_ATTACHMENT_H

#include "process.h"
#include "session.h"

struct attachment_request {
	struct process *process;
	uint64_t from[2];
	bool follow;
	bool feeds; /* it sends input, too */
	bool kills; /* everything ends with this client, unless a new owner of the machine sends it away */
};

/* Takes the session. 0 or -ENOMEM: then it is as it was. */
int attach(struct session *session, const struct attachment_request *request);

/* Gives what the client sends to the process, until an empty frame, and answers how much it has had by then. 0 or -ENOMEM. */
int attach_input(struct session *session, struct process *process, bool end);

/* Frees those that are done; between turns of the loop. */
void attachments_sweep(void);

#endif
