/*
 * stream.h - a guest's TCP connection as a connection to the egress.
 *
 * connect() makes fd an eventfd that is full, so that it never polls as writable: libslirp takes that for a connection in
 * progress. The verdict puts the connection to the egress in its place, or leaves it; then the eventfd is emptied, which
 * wakes the main loop. libslirp tries fd with an empty send() and completes the guest's handshake, or, on what is no
 * socket, resets it. An eventfd never polls HUP, which libslirp would look at before it answers the guest.
 */
#ifndef BOUGH_GATE_STREAM_H
#define BOUGH_GATE_STREAM_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

/* Starts a connection on a FRESH descriptor. -EINPROGRESS, or -ECONNREFUSED when nobody can decide on it. */
int stream_connect(int fd, const struct sockaddr_in *to);

/* The result of a recv() on one of ours that read an end: 0 if it is one, -ECONNRESET if it was cut. */
int stream_ended(int fd);

/* For whoever holds the table's lock: the egress has spoken on the PENDING connection of seq. */
void stream_decide(uint32_t seq);
/* For whoever holds the table's lock: all of the connection was sent. 0, also if it is gone. */
int stream_end(uint32_t seq);

#endif
