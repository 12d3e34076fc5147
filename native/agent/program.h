/*
 * exec: one program, whose input and output are streamed over the session that asked for it.
 *
 *   running --its end--> draining --all sent--> END
 *
 * Output is read only when the piece before has left, so a slow client slows the program down (through the pipe) and memory stays
 * bounded; input likewise the other way round. Everything the program started is killed with it at the deadline and when the client
 * goes away; what it printed until then is still delivered. What it left running when it ended by itself is left alone.
 */
#ifndef AGENT_PROGRAM_H
#define AGENT_PROGRAM_H

#include "command.h"
#include "session.h"

/* Starts it and gives it the session; answers, too, when it turns out that it cannot be run. */
void program_start(struct session *session, const struct command *command);

/* Frees those that are done; between turns of the loop. */
void programs_sweep(void);

#endif
