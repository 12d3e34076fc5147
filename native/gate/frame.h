/*
 * frame.h - frames as bytes: pure, over buffers of fixed size, so that no peer decides how much is kept.
 */
#ifndef BOUGH_GATE_FRAME_H
#define BOUGH_GATE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct frame {
	uint8_t type;
	uint32_t seq;
	const uint8_t *payload; /* into the buffer it was read from */
	size_t length;
};

/* Writes a frame to out, which has room for it; payload_bytes is at most FRAME_PAYLOAD_MAX. Returns its size. */
size_t frame_write(uint8_t *out, enum frame_type type, uint32_t seq, const void *payload, size_t payload_bytes);

/* The frame at the start of a buffer: its size, 0 when it is not all there yet, -EPROTO when it never will be one. */
int frame_read(const uint8_t *buffer, size_t bytes, struct frame *frame);

#endif
