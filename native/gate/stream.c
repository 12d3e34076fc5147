#define _GNU_SOURCE
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>

#include "calls.h"
#include "channel.h"
#include "frame.h"
#include "table.h"

/* An eventfd that cannot be written to; -errno. */
static int full_eventfd(void)
{
	uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd >= 0 && write(fd, &full, sizeof(full)) != sizeof(full)) {
		call_close(fd);
		return -EIO;
	}
	return fd < 0 ? -errno : fd;
}

static int send_connect(int far_fd, uint32_t seq, const struct sockaddr_in *to)
{
	uint8_t payload[ADDRESS_BYTES], out[FRAME_HEADER_BYTES + ADDRESS_BYTES];

	memcpy(payload, &to->sin_addr, 4);
	memcpy(payload + 4, &to->sin_port, 2);
	size_t size = frame_write(out, FRAME_CONNECT, seq, payload, sizeof(payload));
	return call_send(far_fd, out, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -ECONNREFUSED;
}

/* Both ends are there: makes fd wait for the verdict on far_fd. */
static int begin(struct descriptor *descriptor, int fd, int far_fd, int hold_fd, const struct sockaddr_in *to)
{
	int error = send_connect(far_fd, descriptor->seq, to);

	if (error)
		return error;
	if (dup3(hold_fd, fd, O_CLOEXEC) < 0)
		return -errno;
	descriptor->state = PENDING;
	descriptor->far_fd = far_fd;
	descriptor->hold_fd = hold_fd;
	/* On failure it stays pending, and libslirp gives up on it: the descriptors are closed with it. */
	(void)channel_await(far_fd, descriptor->seq);
	return -EINPROGRESS;
}

static int connect_locked(int fd, const struct sockaddr_in *to)
{
	struct descriptor *descriptor = table_find(fd);
	int far_fd, hold_fd, error;

	if (!descriptor || descriptor->state != FRESH || descriptor->is_udp)
		return -EACCES;
	far_fd = channel_dial();
	if (far_fd < 0)
		return -ECONNREFUSED;
	hold_fd = full_eventfd();
	error = hold_fd < 0 ? hold_fd : begin(descriptor, fd, far_fd, hold_fd, to);
	if (error == -EINPROGRESS)
		return error;
	call_close(far_fd);
	if (hold_fd >= 0)
		call_close(hold_fd);
	return -ECONNREFUSED;
}

int stream_connect(int fd, const struct sockaddr_in *to)
{
	int result;

	table_lock();
	result = connect_locked(fd, to);
	table_unlock();
	return result;
}

/* Whether the egress has let it through, and is still there: what polls HUP at once libslirp would never complete. */
static bool is_accepted(int far_fd)
{
	struct pollfd far = {.fd = far_fd};
	uint8_t verdict;

	return call_recv(far_fd, &verdict, 1, MSG_DONTWAIT) == 1 && verdict == VERDICT_ACCEPTED && poll(&far, 1, 0) == 0;
}

void stream_decide(uint32_t seq)
{
	struct descriptor *descriptor = table_find_seq(seq);
	uint64_t drained;

	if (!descriptor || descriptor->state != PENDING)
		return;
	/* Closing the far end takes it out of the epoll set, unless a copy stays open as fd: so before. */
	channel_forget(descriptor->far_fd);
	if (is_accepted(descriptor->far_fd))
		(void)dup3(descriptor->far_fd, table_fd_of(seq), O_CLOEXEC);
	call_close(descriptor->far_fd);
	descriptor->state = OPEN;
	(void)!read(descriptor->hold_fd, &drained, sizeof(drained)); /* full since it was made: never empty */
	call_close(descriptor->hold_fd);
}

int stream_end(uint32_t seq)
{
	struct descriptor *descriptor = table_find_seq(seq);

	if (descriptor)
		descriptor->ended = true;
	return 0;
}

int stream_ended(int fd)
{
	struct descriptor *descriptor;
	int result = 0;

	table_lock();
	/* The egress sends END before it half-closes: who sees the end finds END, if there is one, in the queue at least. */
	channel_pump();
	descriptor = table_find(fd);
	if (descriptor && descriptor->state == OPEN && !descriptor->ended)
		result = -ECONNRESET;
	table_unlock();
	return result;
}
