#include "exchange.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

int message_send(int fd, enum frame_kind kind, const char *payload, size_t length)
{
	char first = (char)kind;
	/* sendmsg() takes what it only reads without const. */
	struct iovec parts[2] = { { &first, 1 }, { (char *)payload, length } };
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t count;

	do
		count = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : 0;
}

ssize_t message_receive(int fd, enum frame_kind *kind, char *payload, size_t room)
{
	char first = 0;
	struct iovec parts[2] = { { &first, 1 }, { payload, room } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t count;

	/* An errand that ended without having read all is told by a reset, once, before what it said last. */
	do
		count = recvmsg(fd, &message, 0);
	while (count < 0 && (errno == EINTR || errno == ECONNRESET));
	if (count <= 0)
		return count < 0 ? -errno : -EPIPE;
	*kind = (enum frame_kind)first; /* only we write to it */
	return count - 1;
}

int exchange_send(struct exchange *exchange, enum frame_kind kind, const char *payload, size_t length)
{
	return message_send(exchange->fd, kind, payload, length) == 0 ? 0 : -ECANCELED;
}

int exchange_tell(struct exchange *exchange, enum frame_kind kind, struct text *object)
{
	int error = object->failed ? -ENOMEM : exchange_send(exchange, kind, object->bytes, object->length);

	text_free(object);
	return error;
}

ssize_t exchange_receive(struct exchange *exchange)
{
	enum frame_kind kind;
	ssize_t count = message_receive(exchange->fd, &kind, exchange->bytes, sizeof exchange->bytes);

	return count < 0 ? -ECANCELED : count;
}
