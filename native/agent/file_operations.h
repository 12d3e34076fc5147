/* Operations on files; see docs/internals/agent-protocol.md. Each is an errand. */
#ifndef AGENT_FILE_OPERATIONS_H
#define AGENT_FILE_OPERATIONS_H

#include <stdbool.h>

#include "json.h"
#include "session.h"

/* Runs the operation of that name; false when there is none. */
bool run_file_operation(struct session *session, const char *name, struct json request);

#endif
