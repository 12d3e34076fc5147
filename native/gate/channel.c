#define _GNU_SOURCE
#include "channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "calls.h"
#include "frame.h"
#include "stream.h"
#include "table.h"
#include "udp.h"

#define REDIAL_MS 200
#define EVENTS 64
/* More bytes than a Unix socket's queue holds: what was there at the call is read, and an egress that never stops holds nobody. */
#define PUMP_READS 1024
/* What epoll says of the control connection; no seq of a connection, since those name a descriptor of the table. */
#define CONTROL_EVENT UINT32_MAX

/* All but the path and the epoll descriptor are guarded by the table's lock. */
static struct {
	struct sockaddr_un address;
	int epoll_fd;
	int control_fd;    /* closed by the thread alone, which waits on it */
	bool is_connected; /* control_fd is of use */
	bool is_sealed;
	size_t have;
	uint8_t in[FRAME_BYTES_MAX];
} channel = {.epoll_fd = -1, .control_fd = -1};

int channel_init(const char *path)
{
	if (path[0] == '\0')
		return -ENOENT;
	if (strlen(path) >= sizeof(channel.address.sun_path))
		return -ENAMETOOLONG;
	channel.address.sun_family = AF_UNIX;
	strcpy(channel.address.sun_path, path);
	return 0;
}

int channel_dial(void)
{
	int fd = call_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* The cast is what the sockets API asks for. */
	if (call_connect(fd, (const struct sockaddr *)&channel.address, sizeof(channel.address)) != 0) {
		int error = -errno;
		call_close(fd);
		return error;
	}
	return fd;
}

static int watch(int fd, uint32_t name)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = name};

	return epoll_ctl(channel.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int channel_await(int far_fd, uint32_t seq)
{
	return watch(far_fd, seq);
}

void channel_forget(int far_fd)
{
	epoll_ctl(channel.epoll_fd, EPOLL_CTL_DEL, far_fd, NULL);
}

/* Whoever finds the connection broken says so; its end wakes the thread, which dials again. */
static void hang_up(void)
{
	if (channel.is_connected)
		shutdown(channel.control_fd, SHUT_RDWR);
	channel.is_connected = false;
	channel.have = 0;
}

/* A Unix socket takes a message of this size as a whole or not at all. */
static int send_control(enum frame_type type, uint32_t seq, const void *payload, size_t bytes)
{
	uint8_t out[FRAME_BYTES_MAX];
	size_t size = frame_write(out, type, seq, payload, bytes);
	ssize_t sent = call_send(channel.control_fd, out, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent == (ssize_t)size)
		return 0;
	return sent < 0 ? -errno : -EPIPE;
}

int channel_query(uint32_t seq, const uint8_t *payload, size_t bytes)
{
	int error;

	if (!channel.is_connected)
		return -ENOTCONN;
	error = send_control(FRAME_QUERY, seq, payload, bytes);
	/* Datagrams may be lost; a torn frame may not follow. */
	if (error == -EPIPE)
		hang_up();
	return error == -EAGAIN ? 0 : error;
}

static int take(const struct frame *frame)
{
	if (frame->type == FRAME_REPLY && frame->length >= ADDRESS_BYTES)
		return udp_reply(frame->seq, frame->payload, frame->length);
	if (frame->type == FRAME_END && frame->length == 0)
		return stream_end(frame->seq);
	return -EPROTO;
}

/* Handles the whole frames that were read. -EPROTO for what no egress of ours says. */
static int take_all(void)
{
	struct frame frame;
	size_t at = 0;
	int size;

	while ((size = frame_read(channel.in + at, channel.have - at, &frame)) > 0) {
		int error = take(&frame);
		if (error)
			return error;
		at += (size_t)size;
	}
	channel.have -= at;
	memmove(channel.in, channel.in + at, channel.have);
	return size;
}

void channel_pump(void)
{
	for (int reads = 0; channel.is_connected && reads < PUMP_READS; reads++) {
		ssize_t got = call_recv(channel.control_fd, channel.in + channel.have, sizeof(channel.in) - channel.have,
					MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got > 0)
			channel.have += (size_t)got;
		if (got <= 0 || take_all() != 0)
			hang_up();
	}
}

static void dial_control(void)
{
	uint32_t flags = htonl(channel.is_sealed ? HELLO_SEALED : 0);
	int fd;

	if (channel.control_fd >= 0)
		call_close(channel.control_fd);
	channel.control_fd = fd = channel_dial();
	if (fd < 0)
		return;
	channel.is_connected = true;
	if (send_control(FRAME_HELLO, 0, &flags, sizeof(flags)) != 0 || watch(fd, CONTROL_EVENT) != 0)
		hang_up();
}

/* Casts of the thread's argument and result: pthread asks for them, and both are unused. */
static void *serve(void *unused)
{
	struct epoll_event events[EVENTS];

	(void)unused;
	for (;;) {
		table_lock();
		if (!channel.is_connected)
			dial_control();
		int timeout = channel.is_connected ? -1 : REDIAL_MS;
		table_unlock();
		int count = epoll_wait(channel.epoll_fd, events, EVENTS, timeout);
		table_lock();
		for (int i = 0; i < count; i++)
			if (events[i].data.u32 == CONTROL_EVENT)
				channel_pump();
			else
				stream_decide(events[i].data.u32);
		table_unlock();
	}
	return NULL;
}

int channel_start(bool is_sealed)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	if (channel.address.sun_family != AF_UNIX)
		return -ENOTCONN;
	channel.is_sealed = is_sealed;
	channel.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (channel.epoll_fd < 0)
		return -errno;
	/* QEMU's signals are for QEMU's threads; a thread begins with the mask of the one that starts it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_detach(thread);
	return -error;
}
