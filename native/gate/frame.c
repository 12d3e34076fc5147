#include "frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

size_t frame_write(uint8_t *out, enum frame_type type, uint32_t seq, const void *payload, size_t payload_bytes)
{
	/* Both casts keep what they cut: types are small, and a payload is at most FRAME_PAYLOAD_MAX. */
	uint16_t length = htons((uint16_t)payload_bytes);
	uint32_t seq_be = htonl(seq);

	out[0] = (uint8_t)type;
	out[1] = GATE_PROTOCOL_VERSION;
	memcpy(out + 2, &length, sizeof(length));
	memcpy(out + 4, &seq_be, sizeof(seq_be));
	if (payload_bytes > 0)
		memcpy(out + FRAME_HEADER_BYTES, payload, payload_bytes);
	return FRAME_HEADER_BYTES + payload_bytes;
}

int frame_read(const uint8_t *buffer, size_t bytes, struct frame *frame)
{
	uint16_t length;
	uint32_t seq;

	if (bytes < FRAME_HEADER_BYTES)
		return 0;
	memcpy(&length, buffer + 2, sizeof(length));
	memcpy(&seq, buffer + 4, sizeof(seq));
	*frame = (struct frame){
		.type = buffer[0], .seq = ntohl(seq), .payload = buffer + FRAME_HEADER_BYTES, .length = ntohs(length)};
	if (buffer[1] != GATE_PROTOCOL_VERSION || frame->length > FRAME_PAYLOAD_MAX)
		return -EPROTO;
	if (bytes < FRAME_HEADER_BYTES + frame->length)
		return 0;
	return FRAME_HEADER_BYTES + (int)frame->length; /* at most FRAME_BYTES_MAX */
}
