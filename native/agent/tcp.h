/* Sessions on TCP: the connection's end is TCP's own. */
#ifndef AGENT_TCP_H
#define AGENT_TCP_H

#include "session.h"

extern const struct link tcp_link;

int tcp_listen(const char *address, int port, int *bound_port);

#endif
