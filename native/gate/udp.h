/*
 * udp.h - a guest's datagrams: DNS goes to the egress, whatever resolver it was for; everything else is refused.
 *
 * The first sendto() makes fd one end of a datagram pair. What the other end puts in has a head: what it is, and the address
 * it is from, so that answers of several resolvers stay apart. A refusal is read as ECONNREFUSED, from which libslirp makes
 * ICMP port unreachable: programs see it at once (network unreachable would leave them waiting).
 */
#ifndef BOUGH_GATE_UDP_H
#define BOUGH_GATE_UDP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The bytes taken, which is all of them, or -errno. */
ssize_t udp_send(int fd, const void *data, size_t bytes, const struct sockaddr_in *to);
/* One datagram and whom it is from; -ECONNREFUSED for a refusal, -EAGAIN when there is none. */
ssize_t udp_receive(int fd, void *data, size_t bytes, struct sockaddr_in *from);

/* For whoever holds the table's lock: an answer (address, port, DNS message). 0, also if the socket is gone. */
int udp_reply(uint32_t seq, const uint8_t *payload, size_t bytes);

#endif
