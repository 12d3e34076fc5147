#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES (4u << 10)
/* Less room than this makes it grow: what a pipe holds comes in one piece. */
#define PIECE_BYTES (64u << 10)

static size_t held_bytes;

bool rings_are_full(void)
{
	return held_bytes > RINGS_BYTES / 2;
}

static size_t index_of(const struct ring *ring, uint64_t offset)
{
	return (size_t)(offset & (ring->capacity - 1)); /* below the capacity */
}

size_t ring_bytes(const struct ring *ring, uint64_t at, const char **bytes)
{
	size_t index = index_of(ring, at);
	uint64_t kept = ring->to - at;
	size_t together = ring->capacity - index;

	*bytes = ring->bytes + index;
	return kept < together ? (size_t)kept : together; /* the smaller of the two */
}

static void grow(struct ring *ring)
{
	size_t capacity = ring->capacity == 0 ? FIRST_BYTES : 2 * ring->capacity;
	struct ring larger = { .capacity = capacity, .from = ring->from, .to = ring->from };

	/* The first bytes are always granted; see ring_open(). */
	if (ring->capacity != 0 && held_bytes + capacity > RINGS_BYTES)
		return;
	larger.bytes = malloc(capacity);
	if (larger.bytes == NULL)
		return;
	held_bytes += capacity;
	while (larger.to < ring->to) {
		const char *bytes;
		size_t count = ring_bytes(ring, larger.to, &bytes);
		size_t together = capacity - index_of(&larger, larger.to);

		count = count < together ? count : together;
		memcpy(larger.bytes + index_of(&larger, larger.to), bytes, count);
		larger.to += count;
	}
	ring_free(ring);
	*ring = larger;
}

int ring_open(struct ring *ring)
{
	grow(ring);
	return ring->capacity == 0 ? -ENOMEM : 0;
}

size_t ring_space(struct ring *ring, uint64_t needed, char **at)
{
	uint64_t kept = ring->to - (needed < ring->from ? ring->from : needed);
	size_t index, together, room;

	while (ring->capacity < RING_BYTES && ring->capacity - (size_t)(ring->to - ring->from) < PIECE_BYTES) {
		size_t before = ring->capacity;

		grow(ring);
		if (ring->capacity == before)
			break;
	}
	index = index_of(ring, ring->to);
	together = ring->capacity - index;
	room = ring->capacity - (size_t)kept; /* no more is kept than there is place for */
	*at = ring->bytes + index;
	return room < together ? room : together;
}

void ring_put(struct ring *ring, size_t length)
{
	ring->to += length;
	if (ring->to - ring->from > ring->capacity)
		ring->from = ring->to - ring->capacity;
}

void ring_free(struct ring *ring)
{
	held_bytes -= ring->capacity;
	free(ring->bytes);
	ring->bytes = NULL;
	ring->capacity = 0;
	ring->from = ring->to;
}
