/* stats: what the guest's kernel says of itself. A number that it does not tell is left out. */
#ifndef AGENT_STATS_H
#define AGENT_STATS_H

#include "session.h"

void run_stats(struct session *session, struct json request);

#endif
