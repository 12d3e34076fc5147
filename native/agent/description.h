/* A kept process in JSON: what it was started as, whether it runs or how it ended, and which of its output is kept. */
#ifndef AGENT_DESCRIPTION_H
#define AGENT_DESCRIPTION_H

#include "process.h"

/* Members that never change: written before the start, since the request they come from does not stay. */
void program_describe(const struct process_spec *spec, struct text *text);

/* An object. */
void process_describe(const struct process *process, struct text *text);
/* An object with the array of all. */
void processes_describe(struct text *text);

#endif
