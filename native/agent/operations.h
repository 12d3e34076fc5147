/* What a request asks for. Each operation answers its session, or gives it work that will. */
#ifndef AGENT_OPERATIONS_H
#define AGENT_OPERATIONS_H

#include "config.h"
#include "session.h"

/* The configuration stays the caller's. */
void operations_open(const struct config *config, bool privileged);

void operations_run(struct session *session, struct json request);

/* Answers the pings that wait for the interpreter; between turns of the loop. */
void operations_answer_pings(void);

#endif
