/*
 * channel.h - the gate's side of the socket to the egress: the control connection, and a thread that keeps it.
 *
 * The thread redials for ever, so an egress that was started again has its gates back after REDIAL_MS. It reads what the
 * egress says, and gives each connection its verdict. Nothing here waits for the egress: what cannot be sent at once is
 * dropped, if it is a query, or costs the control connection.
 */
#ifndef BOUGH_GATE_CHANNEL_H
#define BOUGH_GATE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Notes the path; -ENOENT for an empty one, -ENAMETOOLONG if it is not one of a Unix socket. Then nobody is ever dialled. */
int channel_init(const char *path);
/* Starts the thread, where there is somebody to dial; the control connection says whether this process is sealed. */
int channel_start(bool is_sealed);

/* A new connection to the egress, not blocking: its descriptor, or -errno. */
int channel_dial(void);
/* Wakes the thread when the egress has said something on far_fd, the connection of seq. */
int channel_await(int far_fd, uint32_t seq);
void channel_forget(int far_fd);

/* For whoever holds the table's lock. Sends a query; -ENOTCONN without an egress. */
int channel_query(uint32_t seq, const uint8_t *payload, size_t bytes);
/* For whoever holds the table's lock. Takes in what the egress has said by now, as the thread would. */
void channel_pump(void);

#endif
