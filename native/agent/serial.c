#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "joined_write.h"
#include "pipes.h"
#include "session.h"

#define MAX_PORTS 8
/* A program that is being started has the descriptor of before for a moment, and a port is opened once at a time. */
#define RETRY_MS 50
#define MAX_RETRIES 20

struct port {
	struct source source;
	struct session *session;
	struct text held; /* read, and to be looked at again: part of a header, or what has to wait */
	struct text output; /* leaves before what the session sends: the last session's rest, CLOSE, HELLO */
	size_t sent_bytes; /* of that */
	uint32_t left_bytes; /* of the client's frame that is passing */
	bool live; /* it was seen with a host */
	bool greeted;
	bool dropping; /* the session ended here first: what comes up to CLOSE is thrown away */
	bool stale; /* to be opened again */
	bool busy; /* somebody else has it open */
};

static struct port ports[MAX_PORTS];
static int folder_fd = -1, retries_left;
static bool some_stale;
static struct timer retry;

static void give_up(struct port *port)
{
	port->stale = some_stale = true;
}

static bool is_leaving(const struct port *port)
{
	return port->sent_bytes < port->output.length;
}

/* What an ended session left has to be gone before the next one begins. */
static bool is_reading(const struct port *port)
{
	return port->session != NULL ? session_reading(port->session) : port->dropping || !is_leaving(port);
}

static void watch(struct port *port)
{
	uint32_t events = 0;

	if (port->stale)
		return;
	if (is_reading(port))
		events |= EPOLLIN;
	if (is_leaving(port) || (port->session != NULL && session_sending(port->session)))
		events |= EPOLLOUT;
	/* That the host goes is told in any case. */
	source_watch(&port->source, (events == 0 ? EPOLLHUP : events) | (port->live ? 0 : EPOLLET));
}

static ssize_t send_parts(struct port *port, const struct iovec *parts, int count)
{
	size_t length = 0, sent = 0;

	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	while (sent < length) {
		ssize_t written = joined_write(port->source.fd, parts, count, sent);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno != EAGAIN)
			give_up(port);
		if (written < 0)
			return sent > 0 ? (ssize_t)sent : -1; /* no more than what was asked for */
		sent += (size_t)written; /* not negative */
	}
	return (ssize_t)sent; /* likewise */
}

static void flush(struct port *port)
{
	const struct iovec rest = { port->output.bytes + port->sent_bytes, port->output.length - port->sent_bytes };
	ssize_t count;

	if (port->output.failed) {
		give_up(port);
		return;
	}
	count = port->stale ? -1 : send_parts(port, &rest, 1);
	if (count > 0)
		port->sent_bytes += (size_t)count; /* positive */
	if (!is_leaving(port)) {
		text_free(&port->output);
		port->sent_bytes = 0;
	}
}

static void put_frame(struct port *port, enum frame_kind kind, const char *payload, size_t length)
{
	char header[FRAME_HEADER_BYTES];

	frame_header(header, kind, length);
	text_add(&port->output, header, sizeof header);
	text_add(&port->output, payload, length);
	flush(port);
}

static ssize_t port_send(struct session *session, const struct iovec *parts, int count)
{
	struct port *port = session->port;

	if (port == NULL || port->stale) {
		errno = EPIPE;
		return -1;
	}
	if (is_leaving(port)) {
		errno = EAGAIN;
		return -1;
	}
	return send_parts(port, parts, count);
}

static void port_watch(struct session *session)
{
	if (session->port != NULL)
		watch(session->port);
}

static struct session *part(struct port *port)
{
	struct session *session = port->session;

	port->session = NULL;
	if (session != NULL)
		session->port = NULL;
	return session;
}

/* What has begun to leave does so as a whole, or the client would take CLOSE for a part of it. */
static void keep_rest(struct port *port, struct session *session)
{
	if (!is_leaving(port)) {
		text_free(&port->output);
		port->output = session->output;
		port->sent_bytes = session->sent_bytes;
		session->output = (struct text){ 0 };
	} else {
		text_add(&port->output, session->output.bytes + session->sent_bytes,
			 session->output.length - session->sent_bytes);
		text_free(&session->output);
	}
	session->sent_bytes = 0;
}

static void port_close(struct session *session)
{
	struct port *port = session->port;

	if (port == NULL)
		return;
	part(port);
	if (session->lost) {
		give_up(port);
		return;
	}
	if (session->sent_bytes < session->output.length)
		keep_rest(port, session);
	port->dropping = true;
	put_frame(port, FRAME_CLOSE, "", 0);
	watch(port);
}

static const struct link port_link = { port_send, port_watch, port_close };

static void greet(struct port *port, const char *payload)
{
	struct session *session = part(port);

	text_free(&port->output);
	port->sent_bytes = 0;
	port->dropping = false;
	port->greeted = true;
	put_frame(port, FRAME_HELLO, payload, HELLO_BYTES);
	if (session != NULL)
		session_lost(session);
}

static void begin(struct port *port)
{
	port->session = session_new(&port_link);
	if (port->session != NULL) {
		port->session->port = port;
		return;
	}
	port->dropping = true;
	put_frame(port, FRAME_CLOSE, "", 0);
}

static void client_closed(struct port *port)
{
	if (port->session != NULL)
		session_close(port->session);
	else if (!port->dropping)
		put_frame(port, FRAME_CLOSE, "", 0);
	port->dropping = false;
}

static bool is_of_session(char kind)
{
	return kind == FRAME_REQUEST || kind == FRAME_STDIN || kind == FRAME_CONTROL || kind == FRAME_FILE;
}

/* Takes a frame from its beginning, perhaps not to its end: how many bytes. 0 when there is none, or it has to wait. */
static size_t take_frame(struct port *port, const char *bytes, size_t length)
{
	uint32_t payload = length < FRAME_HEADER_BYTES ? 0 : frame_length(bytes);
	size_t there = length - FRAME_HEADER_BYTES;

	if (length < FRAME_HEADER_BYTES || (port->session == NULL && !is_reading(port)))
		return 0;
	if (bytes[0] == FRAME_HELLO && payload == HELLO_BYTES) {
		if (there < HELLO_BYTES)
			return 0;
		greet(port, bytes + FRAME_HEADER_BYTES);
		return FRAME_HEADER_BYTES + HELLO_BYTES;
	}
	if (port->greeted && bytes[0] == FRAME_CLOSE && payload == 0) {
		client_closed(port);
		return FRAME_HEADER_BYTES;
	}
	if (!port->greeted || !is_of_session(bytes[0])) {
		give_up(port);
		return 0;
	}
	if (port->session == NULL && !port->dropping)
		begin(port);
	if (there > payload)
		there = payload;
	port->left_bytes = payload - (uint32_t)there; /* no more than that */
	if (port->session != NULL)
		session_take(port->session, bytes, FRAME_HEADER_BYTES + there);
	return FRAME_HEADER_BYTES + there;
}

static size_t take_rest(struct port *port, const char *bytes, size_t length)
{
	if (length > port->left_bytes)
		length = port->left_bytes;
	port->left_bytes -= (uint32_t)length; /* no more than that */
	if (port->session != NULL)
		session_take(port->session, bytes, length);
	return length;
}

/* How much of it could be taken. */
static size_t take(struct port *port, const char *bytes, size_t length)
{
	size_t taken = 0, step;

	do {
		step = port->left_bytes > 0 ? take_rest(port, bytes + taken, length - taken) :
					      take_frame(port, bytes + taken, length - taken);
		taken += step;
	} while (step > 0 && !port->stale);
	return taken;
}

static void receive(struct port *port)
{
	static char piece[INPUT_BYTES];
	size_t length = port->held.length, taken;
	ssize_t count = 1;

	if (length > 0)
		memcpy(piece, port->held.bytes, length);
	text_free(&port->held);
	/* A read gives one buffer of the host's, which is a page at most. */
	while (length < sizeof piece && (count = read(port->source.fd, piece + length, sizeof piece - length)) > 0)
		length += (size_t)count; /* positive */
	if (port->live && (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))) {
		give_up(port);
		return;
	}
	taken = take(port, piece, length);
	text_add(&port->held, piece + taken, length - taken);
	if (port->held.failed)
		give_up(port);
}

static void ready(struct source *source, uint32_t events)
{
	struct port *port = owner_of(source, struct port, source);
	bool waits = !is_reading(port);

	/* Bytes may be here before it is told that there is a host: the one is an interrupt, the other a message. */
	if ((events & EPOLLHUP) == 0) {
		port->live = true;
	} else if (port->live) {
		give_up(port);
		return;
	}
	if ((events & EPOLLOUT) != 0) {
		flush(port);
		if (!is_leaving(port) && port->session != NULL && session_sending(port->session))
			session_sendable(port->session);
	}
	if (!port->stale && is_reading(port) && ((events & EPOLLIN) != 0 || waits))
		receive(port);
	watch(port);
}

/* A client that is connected cannot see that the port was closed: it is told by more zeroes than are left of any frame it may be in. */
static void let_go(struct port *port)
{
	static const char zeroes[WRITE_BYTES];
	ssize_t count = 1;

	for (size_t sent = 0; sent < FRAME_HEADER_BYTES + PIPE_BYTES + FRAME_HEADER_BYTES && count > 0; sent += WRITE_BYTES)
		count = write(port->source.fd, zeroes, sizeof zeroes);
}

static void reopen(struct port *port, bool is_known)
{
	struct session *session = part(port);
	char name[24];

	source_close(&port->source);
	text_free(&port->held);
	text_free(&port->output);
	snprintf(name, sizeof name, "vport2p%d", (int)(port - ports) + 1); /* fewer than ten */
	*port = (struct port){ .source = { .fd = openat(folder_fd, name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC),
					   .ready = ready } };
	port->busy = port->source.fd < 0 && errno == EBUSY;
	if (port->busy && retries_left > 0)
		timer_start(&retry, RETRY_MS);
	if (!is_known && port->source.fd >= 0)
		let_go(port);
	watch(port);
	if (session != NULL)
		session_lost(session);
}

static void try_again(struct timer *timer)
{
	(void)timer; /* the only one */
	retries_left--;
	for (size_t i = 0; i < MAX_PORTS; i++)
		if (ports[i].busy)
			reopen(&ports[i], false);
}

void ports_sweep(void)
{
	if (!some_stale)
		return;
	some_stale = false;
	retries_left = MAX_RETRIES;
	for (size_t i = 0; i < MAX_PORTS; i++)
		if (ports[i].stale)
			reopen(&ports[i], false);
}

void ports_reset(const struct session *keep)
{
	retries_left = MAX_RETRIES;
	for (size_t i = 0; i < MAX_PORTS && folder_fd >= 0; i++)
		if (keep == NULL || ports[i].session != keep)
			reopen(&ports[i], true);
}

void ports_open(int folder)
{
	folder_fd = folder;
	retry.expired = try_again;
	/* A client of the agent before may be there. */
	for (size_t i = 0; i < MAX_PORTS; i++) {
		ports[i].source.fd = -1;
		give_up(&ports[i]);
	}
	ports_sweep();
}
