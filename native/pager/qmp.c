#define _GNU_SOURCE
#include "qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int wait_readable(int fd, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = monotonic_ns();
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		int ready = poll(&poll_fd, 1, (int)((deadline_ns - now) / 1000000 + 1));
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

/* Reads on until the buffer holds a line with text in it; leaves that line, terminated, at the buffer's start. */
static int read_line_with(struct qmp *qmp, const char *text, uint64_t deadline_ns)
{
	for (;;) {
		char *end;
		while ((end = memchr(qmp->buffer, '\n', qmp->length))) {
			*end = '\0';
			if (strstr(qmp->buffer, text)) {
				/* One command is out at a time: what follows its reply can only be events. */
				qmp->length = 0;
				return 0;
			}
			qmp->length -= (size_t)(end + 1 - qmp->buffer);
			memmove(qmp->buffer, end + 1, qmp->length);
		}
		if (qmp->length == sizeof(qmp->buffer))
			return -EPROTO;
		int error = wait_readable(qmp->fd, deadline_ns);
		if (error)
			return error;
		ssize_t got = read(qmp->fd, qmp->buffer + qmp->length, sizeof(qmp->buffer) - qmp->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		qmp->length += (size_t)got;
	}
}

int qmp_execute(struct qmp *qmp, const char *members, uint64_t deadline_ns)
{
	char tail[48];
	char id[32];
	struct iovec parts[3];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
	size_t total;
	int error;

	snprintf(id, sizeof(id), "\"pager-%u\"", ++qmp->next_id);
	snprintf(tail, sizeof(tail), ", \"id\": %s}\n", id);
	/* sendmsg() only reads from the parts; struct iovec has no const form. */
	parts[0] = (struct iovec){.iov_base = (char *)"{", .iov_len = 1};
	parts[1] = (struct iovec){.iov_base = (char *)members, .iov_len = strlen(members)};
	parts[2] = (struct iovec){.iov_base = tail, .iov_len = strlen(tail)};
	total = 1 + parts[1].iov_len + parts[2].iov_len;
	ssize_t sent = sendmsg(qmp->fd, &message, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if ((size_t)sent != total)
		return -EMSGSIZE;
	error = read_line_with(qmp, id, deadline_ns);
	if (error)
		return error;
	return strstr(qmp->buffer, "\"error\": {") ? -EREMOTEIO : 0;
}

/* connect() and sendmsg() would wait for ever for a QEMU whose main thread is stuck; they share this limit. */
static void limit_sending(int fd, uint64_t deadline_ns)
{
	uint64_t now = monotonic_ns(), left_us = deadline_ns > now ? (deadline_ns - now) / 1000 : 0;
	struct timeval limit = {.tv_sec = (time_t)(left_us / 1000000), .tv_usec = (suseconds_t)(left_us % 1000000)};

	if (left_us == 0)
		limit.tv_usec = 1; /* zero would mean no limit */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

int qmp_connect(struct qmp *qmp, const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	qmp->length = 0;
	qmp->next_id = 0;
	qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (qmp->fd < 0)
		return -errno;
	limit_sending(qmp->fd, deadline_ns);
	if (connect(qmp->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else
		error = read_line_with(qmp, "\"QMP\"", deadline_ns);
	if (!error)
		error = qmp_execute(qmp, "\"execute\": \"qmp_capabilities\"", deadline_ns);
	if (error)
		qmp_close(qmp);
	return error;
}

void qmp_close(struct qmp *qmp)
{
	close(qmp->fd);
	qmp->fd = -1;
}
