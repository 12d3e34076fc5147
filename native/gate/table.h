/*
 * table.h - the descriptors of libslirp's that are not what it takes them for.
 *
 *   FRESH ──connect()──▶ PENDING ──verdict──▶ OPEN          a TCP socket
 *     └────sendto()────▶ DATAGRAM                           a UDP socket
 *
 * A table of fixed size, indexed by descriptor. All but table_knows() are for whoever holds the lock. The thread changes a
 * descriptor only after it found it here under the lock with the seq it knows: close() takes it out first.
 */
#ifndef BOUGH_GATE_TABLE_H
#define BOUGH_GATE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define TABLE_FDS 16384
/* libslirp keeps a UDP socket for minutes: counted apart, so that neither kind starves the other. */
#define TABLE_TCP_MAX 1024
#define TABLE_UDP_MAX 1024

enum descriptor_state { ABSENT, FRESH, PENDING, OPEN, DATAGRAM };

struct descriptor {
	enum descriptor_state state;
	bool is_udp;
	bool ended;   /* OPEN: the egress said that all was sent */
	uint32_t seq; /* names it to the egress: the descriptor, and how often one was made */
	int far_fd;   /* PENDING: the connection to the egress; DATAGRAM: our end of the pair */
	int hold_fd;  /* PENDING: the eventfd that libslirp polls */
};

void table_lock(void);
void table_unlock(void);

/* Whether the descriptor is ours, without the lock: only its owner, the caller, makes or closes it. */
bool table_knows(int fd);

/* The descriptor if it is ours, else NULL. */
struct descriptor *table_find(int fd);
/* The one of that seq, NULL if it is gone. */
struct descriptor *table_find_seq(uint32_t seq);
int table_fd_of(uint32_t seq);

/* Whether there is room for one more. */
bool table_has_room(bool is_udp);
/* Takes fd in as FRESH; -EMFILE if it is beyond the table. */
int table_add(int fd, bool is_udp);
/* Takes it out and closes what belongs to it, but not fd itself. */
void table_forget(int fd);

#endif
