#define _GNU_SOURCE
#include "udp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#include "calls.h"
#include "channel.h"
#include "protocol.h"
#include "table.h"

#define DNS_PORT 53

enum { ANSWERED, REFUSED };
#define HEAD_BYTES (1 + ADDRESS_BYTES)

static void address_to_bytes(uint8_t *out, const struct sockaddr_in *address)
{
	memcpy(out, &address->sin_addr, 4);
	memcpy(out + 4, &address->sin_port, 2);
}

/* Puts one datagram where libslirp reads it. Dropped when it does not read. */
static void put(const struct descriptor *descriptor, uint8_t what, const uint8_t *payload, size_t bytes)
{
	/* The cast takes a const away that sendmsg() keeps. */
	struct iovec parts[] = {{&what, 1}, {(void *)payload, bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	(void)syscall(SYS_sendmsg, descriptor->far_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int make_pair(struct descriptor *descriptor, int fd)
{
	int pair[2], error = 0;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -ENOBUFS;
	if (dup3(pair[0], fd, O_CLOEXEC) < 0)
		error = -ENOBUFS;
	call_close(pair[0]);
	if (error) {
		call_close(pair[1]);
		return error;
	}
	descriptor->state = DATAGRAM;
	descriptor->far_fd = pair[1];
	return 0;
}

/* Whether the egress has it now, or it was lost as datagrams are. */
static bool queried(uint32_t seq, const uint8_t *address, const void *data, size_t bytes)
{
	uint8_t payload[FRAME_PAYLOAD_MAX];

	if (bytes > DNS_MESSAGE_MAX)
		return false;
	memcpy(payload, address, ADDRESS_BYTES);
	memcpy(payload + ADDRESS_BYTES, data, bytes);
	return channel_query(seq, payload, ADDRESS_BYTES + bytes) == 0;
}

static ssize_t send_locked(int fd, const void *data, size_t bytes, const struct sockaddr_in *to)
{
	struct descriptor *descriptor = table_find(fd);
	uint8_t address[ADDRESS_BYTES];
	int error;

	if (!descriptor || !descriptor->is_udp)
		return -EACCES;
	error = descriptor->state == FRESH ? make_pair(descriptor, fd) : 0;
	if (error)
		return error;
	address_to_bytes(address, to);
	if (to->sin_port != htons(DNS_PORT) || !queried(descriptor->seq, address, data, bytes))
		put(descriptor, REFUSED, address, sizeof(address));
	return (ssize_t)bytes; /* a datagram: far below SSIZE_MAX */
}

ssize_t udp_send(int fd, const void *data, size_t bytes, const struct sockaddr_in *to)
{
	ssize_t result;

	table_lock();
	result = send_locked(fd, data, bytes, to);
	table_unlock();
	return result;
}

ssize_t udp_receive(int fd, void *data, size_t bytes, struct sockaddr_in *from)
{
	uint8_t head[HEAD_BYTES];
	struct iovec parts[] = {{head, sizeof(head)}, {data, bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t got = call_recvmsg(fd, &message, MSG_DONTWAIT);

	if (got < 0)
		return -errno;
	if (got < HEAD_BYTES || head[0] != ANSWERED)
		return -ECONNREFUSED;
	*from = (struct sockaddr_in){.sin_family = AF_INET};
	memcpy(&from->sin_addr, head + 1, 4);
	memcpy(&from->sin_port, head + 5, 2);
	return got - HEAD_BYTES;
}

int udp_reply(uint32_t seq, const uint8_t *payload, size_t bytes)
{
	const struct descriptor *descriptor = table_find_seq(seq);

	if (descriptor && descriptor->state == DATAGRAM)
		put(descriptor, ANSWERED, payload, bytes);
	return 0;
}
