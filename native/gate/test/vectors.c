/*
 * vectors.c - frames are written and read as protocol-vectors.txt says, and nothing else is read as one. The egress has the same test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../frame.h"
#include "../../test/check.h"

uint64_t check_seed = 1;
_Atomic unsigned long check_count;

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t bytes = strlen(hex) / 2;

	if (strcmp(hex, "-") == 0)
		return 0;
	for (size_t i = 0; i < bytes; i++) {
		unsigned value;
		CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1, "%s", hex);
		out[i] = (uint8_t)value;
	}
	return bytes;
}

static int type_of(const char *name)
{
	static const char *const names[] = {"", "hello", "query", "reply", "end", "connect"};

	for (int i = 1; i <= FRAME_CONNECT; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return 0;
}

static void check_vector(const char *name, uint32_t seq, const uint8_t *payload, size_t payload_bytes, const uint8_t *bytes,
			 size_t size)
{
	uint8_t out[FRAME_BYTES_MAX];
	struct frame frame;

	if (type_of(name) == 0) {
		CHECK(frame_read(bytes, size, &frame) == -EPROTO, "%s", name);
		return;
	}
	CHECK(frame_write(out, (enum frame_type)type_of(name), seq, payload, payload_bytes) == size, "%s", name);
	CHECK(memcmp(out, bytes, size) == 0, "%s is written differently", name);
	for (size_t part = 0; part < size; part++)
		CHECK(frame_read(bytes, part, &frame) == 0, "%s is read from %zu bytes", name, part);
	CHECK(frame_read(bytes, size, &frame) == (int)size, "%s", name);
	CHECK(frame.type == type_of(name) && frame.seq == seq && frame.length == payload_bytes, "%s", name);
	CHECK(memcmp(frame.payload, payload, payload_bytes) == 0, "%s", name);
}

/* Whatever the bytes are, a frame lies within them. */
static void check_random(void)
{
	uint64_t state = check_seed;
	uint8_t bytes[64];
	struct frame frame;

	for (int run = 0; run < 100000; run++) {
		size_t size = random_below(&state, sizeof(bytes));
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(random_next(&state) & (i < 4 ? 7 : 255));
		int read = frame_read(bytes, size, &frame);
		CHECK(read == 0 || read == -EPROTO || (read >= FRAME_HEADER_BYTES && (size_t)read <= size), "%d", read);
	}
}

int main(int argc, char **argv)
{
	char line[512], name[16], payload_hex[256], frame_hex[256];
	uint8_t payload[128], frame[128];
	unsigned seq, vectors = 0;

	CHECK(argc == 2, "usage: vectors FILE");
	FILE *file = fopen(argv[1], "re");
	CHECK(file, "%s: errno %d", argv[1], errno);
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#' || sscanf(line, "%15s %u %255s %255s", name, &seq, payload_hex, frame_hex) != 4)
			continue;
		size_t payload_bytes = from_hex(payload_hex, payload);
		check_vector(name, seq, payload, payload_bytes, frame, from_hex(frame_hex, frame));
		vectors++;
	}
	fclose(file);
	CHECK(vectors == 7, "%u vectors", vectors);
	check_random();
	printf("vectors: %u, %lu checks\n", vectors, check_count);
	return 0;
}
