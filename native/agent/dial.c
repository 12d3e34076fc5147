#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who listens and does not accept keeps us waiting no longer than this. */
#define CONNECT_MS 10000

struct dial {
	struct work work;
	struct session *session; /* NULL when it is done */
	struct timer deadline; /* while it connects */
	struct source guest;
	struct dial *next;
	int family;
	int port;
	uint32_t left_bytes; /* of the frame that is being passed on */
	bool open; /* it is connected */
	bool up_ended, down_ended; /* from the client, from the guest */
	bool broken; /* the guest takes no more, and what it said before that is still to be read */
};

static struct dial *dials;

static void leave(struct dial *dial)
{
	dial->session = NULL;
	timer_stop(&dial->deadline);
	source_close(&dial->guest);
}

/* The other side is to see that this was no end in good order. */
static void break_off(struct dial *dial)
{
	const struct linger now = { .l_onoff = 1 };

	if (dial->guest.fd >= 0)
		setsockopt(dial->guest.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	source_close(&dial->guest);
}

static void reset(struct dial *dial)
{
	break_off(dial);
	leave(dial);
}

static void fail(struct dial *dial, const char *code, const char *message)
{
	struct session *session = dial->session;

	reset(dial);
	session_fail(session, code, message);
}

static void refuse(struct dial *dial, int error)
{
	char message[80];

	snprintf(message, sizeof message, "%s on port %d", error == ECONNREFUSED ? "nothing listens" : strerror(error),
		 dial->port);
	fail(dial, "not_connected", message);
}

static void expired(struct timer *timer)
{
	struct dial *dial = owner_of(timer, struct dial, deadline);

	refuse(dial, ETIMEDOUT);
}

static void finish_if_ended(struct dial *dial)
{
	struct session *session = dial->session;
	struct text done = { 0 };

	if (!dial->up_ended || !dial->down_ended)
		return;
	leave(dial);
	text_put(&done, "{}");
	session_end(session, &done);
}

/* True while bytes of the client wait for the guest to take them. */
static bool is_held_up(const struct dial *dial)
{
	return !dial->broken && dial->left_bytes > 0 && dial->session->input.length > 0;
}

static void watch(struct dial *dial)
{
	uint32_t events = 0;

	if (!dial->open || is_held_up(dial))
		events |= EPOLLOUT;
	if (dial->open && !dial->down_ended && !session_sending(dial->session))
		events |= EPOLLIN;
	source_watch(&dial->guest, events);
}

/* Passes one piece on from the guest. */
static void take_down(struct dial *dial)
{
	static char piece[CHUNK_BYTES];
	ssize_t count = recv(dial->guest.fd, piece, sizeof piece, 0);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count < 0 || (count == 0 && dial->broken)) {
		fail(dial, "connection_reset", "the connection was reset");
		return;
	}
	dial->down_ended = count == 0;
	session_send(dial->session, FRAME_STDOUT, piece, (size_t)count); /* not negative */
}

static void broke(struct dial *dial)
{
	dial->broken = true;
	if (dial->down_ended)
		fail(dial, "connection_reset", "the connection was reset");
}

/* Reads the header of the next frame of the client. False when there is none yet, or never will be. */
static bool next_frame(struct dial *dial)
{
	struct session *session = dial->session;
	const char *header = session->input.bytes;
	uint32_t length;

	if (session->input.length < FRAME_HEADER_BYTES)
		return false;
	length = frame_length(header);
	if (header[0] != FRAME_STDIN || length > MAX_STDIN_BYTES || dial->up_ended) {
		session_close(session);
		return false;
	}
	dial->left_bytes = length;
	session_input_taken(session, FRAME_HEADER_BYTES);
	if (length == 0) {
		dial->up_ended = true;
		shutdown(dial->guest.fd, SHUT_WR); /* that it broke, reading tells */
		finish_if_ended(dial);
	}
	return dial->session != NULL;
}

/* False when the guest takes no more now, or there is nothing for it. */
static bool pass_up(struct dial *dial)
{
	struct text *input = &dial->session->input;
	size_t length = input->length < dial->left_bytes ? input->length : dial->left_bytes;
	ssize_t count = length == 0 ? 0 : send(dial->guest.fd, input->bytes, length, MSG_NOSIGNAL);

	if (count < 0 && (errno == ENOMEM || errno == ENOBUFS))
		fail(dial, "connection_reset", "there was no memory to pass on what was sent");
	else if (count < 0 && errno != EAGAIN && errno != EINTR)
		broke(dial);
	if (count <= 0)
		return false;
	dial->left_bytes -= (uint32_t)count; /* no more than there was */
	session_input_taken(dial->session, (size_t)count); /* positive */
	return true;
}

static void take_up(struct work *work)
{
	struct dial *dial = owner_of(work, struct dial, work);

	while (dial->session != NULL && dial->open && !dial->broken)
		if (!(dial->left_bytes == 0 ? next_frame(dial) : pass_up(dial)))
			break;
	if (dial->session != NULL && dial->broken)
		session_input_taken(dial->session, dial->session->input.length);
	if (dial->session != NULL)
		watch(dial);
}

static void sent(struct work *work)
{
	struct dial *dial = owner_of(work, struct dial, work);

	/* Nobody is there, or it is another machine that is: no reason to wait. */
	if (!session_usable(dial->session))
		session_close(dial->session);
	else
		watch(dial);
}

static void gone(struct work *work, bool cancelled)
{
	(void)cancelled; /* a connection is of no use to a new owner either */
	reset(owner_of(work, struct dial, work));
}

static int begin(struct dial *dial, int family);

/* What listens on "localhost" may do so in the other family only. */
static void other_family(struct dial *dial, int error)
{
	bool tries_on = dial->family == AF_INET && error == ECONNREFUSED;

	break_off(dial);
	if (!tries_on || begin(dial, AF_INET6) != 0)
		refuse(dial, error);
}

/* Where nobody listens the kernel may choose that very port for our end, and then it is both ends of the connection. */
static bool met_itself(const struct dial *dial)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} own = { .any.sa_family = AF_UNSPEC };
	socklen_t length = sizeof own;

	if (getsockname(dial->guest.fd, &own.any, &length) != 0)
		return false;
	return ntohs(own.any.sa_family == AF_INET ? own.four.sin_port : own.six.sin6_port) == dial->port;
}

/* 0 when it is connected to somebody. */
static int connect_error(const struct dial *dial)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (getsockopt(dial->guest.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		return errno;
	return error == 0 && met_itself(dial) ? ECONNREFUSED : error;
}

static void connected(struct dial *dial)
{
	static const char event[] = "{\"connected\":true}";
	int yes = 1;

	timer_stop(&dial->deadline);
	setsockopt(dial->guest.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	dial->open = true;
	session_send(dial->session, FRAME_EVENT, event, sizeof event - 1);
	/* What came with the request waits in the session. */
	if (dial->session != NULL)
		take_up(&dial->work);
}

static void ready(struct source *source, uint32_t events)
{
	struct dial *dial = owner_of(source, struct dial, guest);

	if (!dial->open) {
		int error = connect_error(dial);

		if (error == 0)
			connected(dial);
		else
			other_family(dial, error);
		return;
	}
	if ((events & EPOLLIN) != 0) {
		take_down(dial);
		if (dial->session != NULL)
			finish_if_ended(dial);
	} else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
		broke(dial);
	}
	if (dial->session != NULL && (events & EPOLLOUT) != 0)
		take_up(&dial->work);
	if (dial->session != NULL)
		watch(dial);
}

/* Begins to connect. 0 or -errno. */
static int begin(struct dial *dial, int family)
{
	const struct sockaddr_in four = { .sin_family = AF_INET,
					  .sin_port = htons((uint16_t)dial->port), /* in range */
					  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6,
					  .sin6_port = htons((uint16_t)dial->port), /* in range */
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	/* The casts are how connect() takes addresses of any family. */
	const struct sockaddr *name = family == AF_INET ? (const struct sockaddr *)&four : (const struct sockaddr *)&six;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	dial->family = family;
	if (fd < 0)
		return -errno;
	if (connect(fd, name, family == AF_INET ? sizeof four : sizeof six) != 0 && errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		return -error;
	}
	dial->guest = (struct source){ .fd = fd, .ready = ready };
	source_watch(&dial->guest, EPOLLOUT);
	return 0;
}

static void start(struct session *session, int port)
{
	struct dial *dial = calloc(1, sizeof *dial);
	int error;

	if (dial == NULL) {
		session_refuse(session, -ENOMEM, NULL);
		return;
	}
	*dial = (struct dial){ .work = { .sent = sent, .input = take_up, .gone = gone }, .session = session,
			       .guest.fd = -1, .port = port, .deadline.expired = expired, .next = dials };
	dials = dial;
	session->work = &dial->work;
	timer_start(&dial->deadline, CONNECT_MS);
	error = begin(dial, AF_INET);
	if (error != 0)
		other_family(dial, -error);
}

void run_dial(struct session *session, struct json request)
{
	struct problem problem;
	int64_t port = 0;
	int error = field_whole(request, "port", 1, UINT16_MAX, &port, &problem);

	if (error == 0 && port == 0) {
		snprintf(problem.text, sizeof problem.text, "port must be given");
		error = -EINVAL;
	}
	if (error != 0)
		session_refuse(session, error, &problem);
	else
		start(session, (int)port); /* in range */
}

void dials_sweep(void)
{
	struct dial **at = &dials;

	while (*at != NULL) {
		struct dial *dial = *at;

		if (dial->session != NULL) {
			at = &dial->next;
			continue;
		}
		*at = dial->next;
		free(dial);
	}
}
