/* The operations on kept processes: start, list, look, read, feed, signal, resize. */
#ifndef AGENT_PROCESS_OPERATIONS_H
#define AGENT_PROCESS_OPERATIONS_H

#include "config.h"
#include "session.h"

/* The configuration stays the caller's. */
void process_operations_open(const struct config *config);

void run_start(struct session *session, struct json request);
void run_processes(struct session *session, struct json request);
void run_process(struct session *session, struct json request);
void run_output(struct session *session, struct json request);
void run_attach(struct session *session, struct json request);
void run_stdin(struct session *session, struct json request);
void run_signal(struct session *session, struct json request);
void run_resize(struct session *session, struct json request);

#endif
