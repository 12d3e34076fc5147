/* A kept process in JSON: what it was started as, whether it runs or how it ended, and which of its output is kept. */
#ifndef AGENT_DESCRIPTION_H
#define AGENT_DESCRIPTION_H

#include "process.h"

/* The members that never change: written once, since the request they come from does not stay. */
void process_about(struct process *process, const struct process_spec *spec);

/* An object. */
void process_describe(const struct process *process, struct text *text);
/* An object with the array of all. */
void processes_describe(struct text *text);

#endif
