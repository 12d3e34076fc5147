#define _GNU_SOURCE
#include "qmp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Between two looks whether QEMU has read what was sent. */
#define READ_POLL_NS 50000
/* So much goes into a socket in one piece or not at all. */
#define CHAIN_MAX_BYTES 16384
#define CHAIN_PATIENCE_NS 1000000000ull

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int wait_any(struct pollfd *fds, nfds_t count, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = monotonic_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		int ready = poll(fds, count, (int)((deadline_ns - now) / 1000000 + 1));
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

int wait_readable(int fd, uint64_t deadline_ns)
{
	return wait_any(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, deadline_ns);
}

/* {"timestamp": {"seconds": S, "microseconds": U}, "event": "NAME"...}: a command of its own line never looks like this. */
static void note_event(struct qmp *qmp, const char *line)
{
	unsigned long long seconds, microseconds;
	char name[32];

	if (sscanf(line, "{\"timestamp\": {\"seconds\": %llu, \"microseconds\": %llu}, \"event\": \"%31[A-Z_]\"", &seconds,
		   &microseconds, name) != 3)
		return;
	if (strcmp(name, "STOP") == 0)
		qmp->stopped_us = seconds * 1000000 + microseconds;
	else if (strcmp(name, "RESUME") == 0)
		qmp->resumed_us = seconds * 1000000 + microseconds;
}

/* Takes the buffer's first line, terminated at end, off it. 0 or -EREMOTEIO when it has text in it, 1 when it has not. */
static int take_line(struct qmp *qmp, char *end, const char *text)
{
	int outcome = 1;

	if (strstr(qmp->buffer, text))
		outcome = strstr(qmp->buffer, "\"error\": {") ? -EREMOTEIO : 0;
	else
		note_event(qmp, qmp->buffer);
	qmp->length -= (size_t)(end + 1 - qmp->buffer);
	memmove(qmp->buffer, end + 1, qmp->length);
	return outcome;
}

/* Until the connection can be read. */
static int wait_for_qemu(const struct qmp *qmp, uint64_t deadline_ns)
{
	const struct beside *beside = &qmp->beside;
	struct pollfd fds[2] = {{.fd = qmp->fd, .events = POLLIN}, {.fd = beside->fd, .events = POLLIN}};

	for (;;) {
		int error = wait_any(fds, 2, deadline_ns);

		if (error)
			return error;
		if (fds[1].revents)
			beside->run();
		if (fds[0].revents)
			return 0;
	}
}

/* Takes lines off the buffer up to one that has text in it: as take_line(). */
static int take_lines(struct qmp *qmp, const char *text)
{
	char *end;

	while ((end = memchr(qmp->buffer, '\n', qmp->length))) {
		*end = '\0';
		int outcome = take_line(qmp, end, text);
		if (outcome <= 0)
			return outcome;
	}
	return qmp->length == sizeof(qmp->buffer) ? -EPROTO : 1;
}

static int read_more(struct qmp *qmp)
{
	ssize_t got;

	do
		got = read(qmp->fd, qmp->buffer + qmp->length, sizeof(qmp->buffer) - qmp->length);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : -ECONNRESET;
	qmp->length += (size_t)got;
	return 0;
}

/* Reads on until a line has text in it; -EREMOTEIO when that line tells of an error. */
static int read_line_with(struct qmp *qmp, const char *text, uint64_t deadline_ns)
{
	for (;;) {
		int outcome = take_lines(qmp, text);
		if (outcome <= 0)
			return outcome;
		int error = wait_for_qemu(qmp, deadline_ns);
		if (!error)
			error = read_more(qmp);
		if (error)
			return error;
	}
}

int qmp_hear(struct qmp *qmp)
{
	int error = read_more(qmp), outcome;

	if (error)
		return error;
	/* No line has that in it. */
	outcome = take_lines(qmp, "\n");
	return outcome < 0 ? outcome : 0;
}

static int send_parts(struct qmp *qmp, struct iovec *parts, size_t count)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += parts[i].iov_len;
	ssize_t sent = sendmsg(qmp->fd, &message, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)sent == total ? 0 : -EMSGSIZE;
}

static int send_text(struct qmp *qmp, const char *text)
{
	/* sendmsg() only reads; struct iovec has no const form. */
	return send_parts(qmp, &(struct iovec){.iov_base = (char *)text, .iov_len = strlen(text)}, 1);
}

static void format_id(unsigned number, char id[32])
{
	snprintf(id, 32, "\"pager-%u\"", number);
}

static int send_members(struct qmp *qmp, const char *members)
{
	char id[32], tail[48];

	format_id(++qmp->next_id, id);
	snprintf(tail, sizeof(tail), ", \"id\": %s", id);
	struct iovec parts[3] = {
		{.iov_base = (char *)"{", .iov_len = 1},
		{.iov_base = (char *)members, .iov_len = strlen(members)},
		{.iov_base = tail, .iov_len = strlen(tail)},
	};
	return send_parts(qmp, parts, 3);
}

/* Returns once QEMU has taken all that was sent off the socket. */
static int wait_until_read(int fd, uint64_t deadline_ns)
{
	for (;;) {
		int unread_bytes;

		if (ioctl(fd, SIOCOUTQ, &unread_bytes) < 0)
			return -errno;
		if (unread_bytes == 0)
			return 0;
		if (monotonic_ns() >= deadline_ns)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){.tv_nsec = READ_POLL_NS}, NULL);
	}
}

/* QEMU forgets half a command when its connection is closed. */
static int take_back(struct qmp *qmp, uint64_t deadline_ns)
{
	if (!qmp->begun)
		return 0;
	qmp_close(qmp);
	return qmp_connect(qmp, qmp->path, deadline_ns);
}

int qmp_begin(struct qmp *qmp, const char *members, uint64_t deadline_ns)
{
	int error = take_back(qmp, deadline_ns);

	if (!error)
		error = send_members(qmp, members);
	qmp->begun = !error;
	return error ? error : wait_until_read(qmp->fd, deadline_ns);
}

int qmp_nudge(struct qmp *qmp, uint64_t deadline_ns)
{
	int error = send_text(qmp, " ");

	return error ? error : wait_until_read(qmp->fd, deadline_ns);
}

int qmp_finish(struct qmp *qmp, uint64_t deadline_ns)
{
	char id[32];
	int error = send_text(qmp, "}\n");

	qmp->begun = false;
	format_id(qmp->next_id, id);
	return error ? error : read_line_with(qmp, id, deadline_ns);
}

/* The end of the command that has been begun, and all of the others. */
static int send_chain(struct qmp *qmp, const char *const *members, size_t count)
{
	char text[CHAIN_MAX_BYTES];
	size_t length = (size_t)snprintf(text, sizeof(text), "}\n");

	for (size_t i = 0; i < count && length < sizeof(text); i++) {
		char id[32];

		format_id(++qmp->next_id, id);
		length += (size_t)snprintf(text + length, sizeof(text) - length, "{%s, \"id\": %s}\n", members[i], id);
	}
	return length < sizeof(text) ? send_text(qmp, text) : -EMSGSIZE;
}

int qmp_finish_chain(struct qmp *qmp, const char *const *members, size_t count, size_t *failed)
{
	unsigned begun = qmp->next_id;
	int outcome = send_chain(qmp, members, count);

	qmp->begun = false;
	*failed = 0;
	if (outcome)
		return outcome;
	for (size_t i = 0; i <= count; i++) {
		char id[32];
		int error;

		format_id(begun + (unsigned)i, id);
		do
			error = read_line_with(qmp, id, monotonic_ns() + CHAIN_PATIENCE_NS);
		while (error == -ETIMEDOUT);
		if (error && !outcome) {
			outcome = error;
			*failed = i;
		}
		if (error && error != -EREMOTEIO)
			break;
	}
	return outcome;
}

int qmp_execute(struct qmp *qmp, const char *members, uint64_t deadline_ns)
{
	int error = take_back(qmp, deadline_ns);

	if (!error)
		error = send_members(qmp, members);
	return error ? error : qmp_finish(qmp, deadline_ns);
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
	*qmp = (struct qmp){.fd = -1, .path = path, .beside.fd = -1};
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
	if (qmp->fd >= 0)
		close(qmp->fd);
	qmp->fd = -1;
	qmp->begun = false;
}
