#include "session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOST_GRACE_MS 5000
#define REQUEST_MS 15000
#define SEND_END_MS 30000
#define CLOSE_MS 5000
#define INPUT_BYTES CHUNK_BYTES

static struct session *sessions;
static size_t session_count;
static bool some_gone;
static struct source listener;
static request_handler handle;

bool session_usable(const struct session *session)
{
	return session->phase != GONE && !session->lost;
}

bool session_sending(const struct session *session)
{
	return session_usable(session) && session->sent_bytes < session->output.length;
}

static bool takes_input(const struct session *session)
{
	bool kept = session->phase == RUNNING && session->work != NULL && session->work->input != NULL;

	return !kept || session->input.length < INPUT_BYTES;
}

static void watch(struct session *session)
{
	uint32_t events = EPOLLRDHUP;

	if (!session_usable(session))
		events = 0;
	else if (takes_input(session))
		events |= EPOLLIN;
	if (session_sending(session))
		events |= EPOLLOUT;
	source_watch(&session->source, events);
}

/* The connection is closed at once; the memory stays until the sweep, since somebody up the stack may be using it. */
static void leave(struct session *session, bool cancelled)
{
	struct work *work = session->work;

	if (session->phase == GONE)
		return;
	if (session->phase != FINISHING || session->lost) {
		/* A reset instead of FIN_WAIT: nobody is there to answer, and a dead connection must leave no timers behind. */
		struct linger now = { .l_onoff = 1 };

		setsockopt(session->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	session->phase = GONE;
	some_gone = true;
	session->work = NULL;
	timer_stop(&session->timer);
	source_close(&session->source);
	if (work != NULL)
		work->gone(work, cancelled);
}

void session_close(struct session *session)
{
	leave(session, true);
}

static void expired(struct timer *timer)
{
	struct session *session = owner_of(timer, struct session, timer);

	if (session->phase == FINISHING)
		session->lost = session_sending(session);
	leave(session, true);
}

static void lose(struct session *session)
{
	session->lost = true;
	if (session->phase != RUNNING || session->work == NULL) {
		leave(session, true);
		return;
	}
	watch(session);
	timer_start(&session->timer, LOST_GRACE_MS);
	/* What it waits to have sent will never leave: let it go on. */
	if (session->work->sent != NULL)
		session->work->sent(session->work);
}

static void all_sent(struct session *session)
{
	text_free(&session->output);
	session->sent_bytes = 0;
	if (session->phase == FINISHING)
		timer_start(&session->timer, CLOSE_MS);
	else if (session->work != NULL && session->work->sent != NULL)
		session->work->sent(session->work);
}

/* Sends what it can. False when the connection broke. */
static bool flush(struct session *session)
{
	struct text *output = &session->output;

	while (session->sent_bytes < output->length) {
		ssize_t count = send(session->source.fd, output->bytes + session->sent_bytes,
				     output->length - session->sent_bytes, MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN || errno == EINTR;
		session->sent_bytes += (size_t)count; /* not negative */
	}
	return true;
}

void session_send(struct session *session, enum frame_kind kind, const char *payload, size_t length)
{
	char header[FRAME_HEADER_BYTES];
	/* sendmsg() takes what it only reads without const. */
	struct iovec parts[2] = { { header, sizeof header }, { (char *)payload, length } };
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	size_t sent;
	ssize_t count;

	frame_header(header, kind, length);
	count = sendmsg(session->source.fd, &message, MSG_NOSIGNAL);
	sent = count < 0 ? 0 : (size_t)count; /* it waits, or the descriptor soon tells that the connection broke */
	if (sent < sizeof header) {
		text_add(&session->output, header + sent, sizeof header - sent);
		sent = sizeof header;
	}
	text_add(&session->output, payload + (sent - sizeof header), length - (sent - sizeof header));
	if (session->output.failed)
		lose(session);
	else
		watch(session);
}

void session_end(struct session *session, struct text *object)
{
	char header[FRAME_HEADER_BYTES];

	session->work = NULL;
	frame_header(header, FRAME_END, object->length);
	text_add(&session->output, header, sizeof header);
	text_add(&session->output, object->bytes, object->length);
	session->output.failed |= object->failed;
	text_free(object);
	session->phase = FINISHING;
	if (session->lost || session->output.failed || !flush(session)) {
		session->lost = true;
		leave(session, true);
		return;
	}
	timer_start(&session->timer, SEND_END_MS);
	if (!session_sending(session))
		all_sent(session);
	watch(session);
}

void session_fail(struct session *session, const char *code, const char *message)
{
	struct text object = { 0 };

	text_put(&object, "{\"error\":{\"code\":\"");
	text_put(&object, code);
	text_put(&object, "\",\"message\":");
	text_quote(&object, message, strlen(message));
	text_put(&object, "}}");
	session_end(session, &object);
}

void session_refuse(struct session *session, int error, const struct problem *problem)
{
	if (error == -EINVAL)
		session_fail(session, "bad_request", problem->text);
	else if (error == -EIO)
		session_fail(session, "identify_failed", problem->text);
	else
		session_fail(session, "out_of_memory", "the agent has no memory for this");
}

void session_input_taken(struct session *session, size_t bytes)
{
	text_drop(&session->input, bytes);
	watch(session);
}

/* Gives the request on when it is whole. */
static void read_request(struct session *session)
{
	struct text *input = &session->input;
	struct text whole;
	struct json request, op;
	uint32_t length;

	if (input->length < FRAME_HEADER_BYTES)
		return;
	length = frame_length(input->bytes);
	if (input->bytes[0] != FRAME_REQUEST || length > MAX_REQUEST_BYTES) {
		leave(session, true);
		return;
	}
	if (input->length < FRAME_HEADER_BYTES + length)
		return;
	whole = *input;
	*input = (struct text){ 0 };
	text_add(input, whole.bytes + FRAME_HEADER_BYTES + length, whole.length - FRAME_HEADER_BYTES - length);
	if (json_check(whole.bytes + FRAME_HEADER_BYTES, length, &request) != 0 || !json_is(request, '{') ||
	    json_member(request, "op", &op) != 0 || !json_is(op, '"')) {
		leave(session, true);
	} else if (input->failed) {
		/* What came with the request is lost: it would be carried out without it. */
		text_free(input);
		session_refuse(session, -ENOMEM, NULL);
	} else {
		timer_stop(&session->timer);
		session->phase = RUNNING;
		handle(session, request);
	}
	text_free(&whole);
}

/* What has come is to be looked at. */
static void take_input(struct session *session)
{
	struct work *work = session->work;

	if (session->phase == READING)
		read_request(session);
	else if (session->phase == RUNNING && work != NULL && work->input != NULL)
		work->input(work);
	else
		session->input.length = 0;
	/* A request may have brought input with it. */
	if (session->phase == RUNNING && session->work != work && session->work != NULL &&
	    session->work->input != NULL && session->input.length > 0)
		session->work->input(session->work);
}

static bool broken(const struct session *session)
{
	int error = 0;
	socklen_t length = sizeof error;

	return getsockopt(session->source.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0;
}

static void receive(struct session *session)
{
	static char piece[INPUT_BYTES]; /* memory of its own for each would be mapped and unmapped for each */
	ssize_t count = recv(session->source.fd, piece, sizeof piece, 0);

	if (count > 0)
		text_add(&session->input, piece, (size_t)count);
	if (count == 0 || session->input.failed) {
		leave(session, true);
	} else if (count > 0) {
		take_input(session);
	} else if (errno != EAGAIN && errno != EINTR) {
		lose(session);
	}
}

static void ready(struct source *source, uint32_t events)
{
	struct session *session = owner_of(source, struct session, source);

	if ((events & EPOLLERR) != 0 && broken(session)) {
		lose(session);
		return;
	}
	if ((events & EPOLLOUT) != 0) {
		if (!flush(session)) {
			lose(session);
			return;
		}
		if (!session_sending(session))
			all_sent(session);
	}
	if (session_usable(session) && (events & EPOLLIN) != 0 && takes_input(session))
		receive(session);
	else if (session_usable(session) && (events & (EPOLLRDHUP | EPOLLHUP)) != 0)
		leave(session, true);
	if (session_usable(session))
		watch(session);
}

static void start(int fd)
{
	struct session *session = calloc(1, sizeof *session);
	int yes = 1;

	if (session == NULL || session_count >= MAX_SESSIONS) {
		free(session);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	session->source = (struct source){ .fd = fd, .ready = ready };
	session->timer.expired = expired;
	session->next = sessions;
	sessions = session;
	session_count++;
	timer_start(&session->timer, REQUEST_MS);
	watch(session);
}

static void accept_one(struct source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events; /* only one kind is asked for */
	if (fd >= 0)
		start(fd);
}

int sessions_listen(const char *address, int port, int *bound_port, request_handler handler)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	/* The casts are how the socket calls take addresses of any family. */
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0 ||
	    listen(fd, MAX_SESSIONS) != 0 || getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
		int error = errno != 0 ? errno : EINVAL;

		close(fd);
		return -error;
	}
	handle = handler;
	*bound_port = ntohs(name.sin_port);
	listener = (struct source){ .fd = fd, .ready = accept_one };
	source_watch(&listener, EPOLLIN);
	return 0;
}

void sessions_detach(const struct session *keep)
{
	for (struct session *each = sessions; each != NULL; each = each->next) {
		if (each == keep)
			continue;
		each->lost = true; /* so that it is reset */
		leave(each, false);
	}
}

void sessions_sweep(void)
{
	struct session **at = &sessions;

	if (!some_gone)
		return;
	some_gone = false;
	while (*at != NULL) {
		struct session *session = *at;

		if (session->phase != GONE) {
			at = &session->next;
			continue;
		}
		*at = session->next;
		text_free(&session->input);
		text_free(&session->output);
		free(session);
		session_count--;
	}
}
