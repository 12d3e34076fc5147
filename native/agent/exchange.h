/*
 * What an errand (errand.h) and the agent say to each other: messages over a socket pair, each a kind of frame and its payload. The errand's
 * end blocks, so a slow client makes the errand wait, and an errand that waits for its client is only asleep.
 */
#ifndef AGENT_EXCHANGE_H
#define AGENT_EXCHANGE_H

#include <stddef.h>
#include <sys/types.h>

#include "frames.h"
#include "text.h"

struct exchange {
	int fd;
	char bytes[CHUNK_BYTES]; /* of the message that came last */
};

/* 0, or -ECANCELED when nobody is there any more. */
int exchange_send(struct exchange *exchange, enum frame_kind kind, const char *payload, size_t length);

/* Sends a JSON object, and frees it. 0, -ECANCELED or -ENOMEM. */
int exchange_tell(struct exchange *exchange, enum frame_kind kind, struct text *object);

/* Waits for more of the client's bytes, which are in exchange->bytes then. How many; 0 at their end; -ECANCELED. */
ssize_t exchange_receive(struct exchange *exchange);

/* The agent's end, which does not block. How much of the payload, or -errno; a message goes whole or not at all. */
int message_send(int fd, enum frame_kind kind, const char *payload, size_t length);

/* The length of the payload, or -errno: -EPIPE when the errand's end is closed. */
ssize_t message_receive(int fd, enum frame_kind *kind, char *payload, size_t room);

#endif
