/*
 * The last bytes a program printed, at absolute offsets: the first byte it ever printed has offset 0, and what is kept are those from
 * `from` up to `to`. It grows as it fills, to RING_BYTES at most; then each new byte takes the place of the oldest.
 *
 * All rings together hold RINGS_BYTES: one that finds no room stays as small as it is.
 */
#ifndef AGENT_RING_H
#define AGENT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_BYTES (1u << 20)
#define RINGS_BYTES (64u << 20)

struct ring {
	char *bytes;
	size_t capacity; /* a power of two; 0 before it is opened */
	uint64_t from, to;
};

/* Its first bytes, without which what a program prints could not be waited for. 0 or -ENOMEM. */
int ring_open(struct ring *ring);

/*
 * Where the next bytes go, and how many fit there at once. What lies at `needed` and behind it is not overwritten: 0 when there is no
 * place but theirs.
 */
size_t ring_space(struct ring *ring, uint64_t needed, char **at);

/* So many bytes have been put there. */
void ring_put(struct ring *ring, size_t length);

/* The bytes from an offset on that lie together; `at` is between `from` and `to`. */
size_t ring_bytes(const struct ring *ring, uint64_t at, const char **bytes);

/* Whether more than half of what all may hold is held. */
bool rings_are_full(void);

void ring_free(struct ring *ring);

#endif
