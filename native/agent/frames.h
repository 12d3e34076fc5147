/* Frames of the agent protocol: one byte kind, four bytes length (big-endian), payload. See docs/internals/agent-protocol.md. */
#ifndef AGENT_FRAMES_H
#define AGENT_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum frame_kind {
	FRAME_RESET = 0, /* of a serial port: the agent has let go of it */
	FRAME_REQUEST = 1,
	FRAME_STDIN = 2,
	FRAME_STDOUT = 3,
	FRAME_STDERR = 4,
	FRAME_PTY = 5,
	FRAME_FILE = 6,
	FRAME_EVENT = 7,
	FRAME_CONTROL = 8,
	FRAME_END = 9,
	FRAME_HELLO = 10, /* this and the next: on serial ports only */
	FRAME_CLOSE = 11,
};

#define FRAME_HEADER_BYTES 5
#define MAX_REQUEST_BYTES (8u << 20)
#define MAX_STDIN_BYTES (1u << 20)
#define MAX_FILE_BYTES (1u << 20)
#define MAX_CONTROL_BYTES 4096u
#define HELLO_BYTES 16u
#define CHUNK_BYTES (64u << 10)

static inline uint32_t frame_length(const char *header)
{
	const unsigned char *bytes = (const unsigned char *)header; /* bytes are looked at as numbers */

	return (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
}

static inline void frame_header(char *header, enum frame_kind kind, size_t length)
{
	header[0] = (char)kind;
	for (int i = 1; i <= 4; i++)
		header[i] = (char)(length >> (32 - 8 * i)); /* the byte of that place */
}

#endif
