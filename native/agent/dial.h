/*
 * dial: a TCP port of this machine, over the session that asked for it.
 *
 *   connecting --it is there--> EVENT, open --both directions have ended--> END
 *        └─ nobody listens, or nobody answers: END with an error      └─ it broke: END with an error
 *
 * Each direction ends for itself, with an empty frame. Neither is read faster than the other side takes it. A client that goes away
 * before both have ended resets the connection, and so does identify: the connection belonged to the machine that this one was.
 */
#ifndef AGENT_DIAL_H
#define AGENT_DIAL_H

#include "session.h"

void run_dial(struct session *session, struct json request);

/* Frees those that are done; between turns of the loop. */
void dials_sweep(void);

#endif
