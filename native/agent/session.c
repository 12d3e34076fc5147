#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOST_GRACE_MS 5000
#define REQUEST_MS 15000
#define SEND_END_MS 30000
#define CLOSE_MS 5000

static struct session *sessions;
static size_t session_count;
static bool some_gone;
static request_handler handle;

bool session_usable(const struct session *session)
{
	return session->phase != GONE && !session->lost;
}

bool session_sending(const struct session *session)
{
	return session_usable(session) && session->sent_bytes < session->output.length;
}

bool session_reading(const struct session *session)
{
	bool kept = session->phase == RUNNING && session->work != NULL && session->work->input != NULL;

	return session_usable(session) && (!kept || session->input.length < INPUT_BYTES);
}

static void watch(struct session *session)
{
	session->link->watch(session);
}

/* The connection is closed at once; the memory stays until the sweep, since somebody up the stack may be using it. */
static void leave(struct session *session, bool cancelled)
{
	struct work *work = session->work;

	if (session->phase == GONE)
		return;
	session->link->close(session);
	session->phase = GONE;
	some_gone = true;
	session->work = NULL;
	timer_stop(&session->timer);
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

	leave(session, true);
}

void session_lost(struct session *session)
{
	session->lost = true;
	if (session->phase != RUNNING || session->work == NULL) {
		leave(session, true);
		return;
	}
	session->link->close(session);
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
		const struct iovec rest = { output->bytes + session->sent_bytes, output->length - session->sent_bytes };
		ssize_t count = session->link->send(session, &rest, 1);

		if (count < 0)
			return errno == EAGAIN || errno == EINTR;
		session->sent_bytes += (size_t)count; /* not negative */
	}
	return true;
}

void session_send(struct session *session, enum frame_kind kind, const char *payload, size_t length)
{
	char header[FRAME_HEADER_BYTES];
	/* An iovec has what is only read without const. */
	const struct iovec parts[2] = { { header, sizeof header }, { (char *)payload, length } };
	size_t sent;
	ssize_t count;

	frame_header(header, kind, length);
	count = session->link->send(session, parts, 2);
	sent = count < 0 ? 0 : (size_t)count; /* it waits, or the descriptor soon tells that the connection broke */
	if (sent < sizeof header) {
		text_add(&session->output, header + sent, sizeof header - sent);
		sent = sizeof header;
	}
	text_add(&session->output, payload + (sent - sizeof header), length - (sent - sizeof header));
	if (session->output.failed)
		session_lost(session);
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

void session_take(struct session *session, const char *bytes, size_t length)
{
	text_add(&session->input, bytes, length);
	if (session->input.failed)
		leave(session, true);
	else
		take_input(session);
	if (session_usable(session))
		watch(session);
}

void session_sendable(struct session *session)
{
	if (!flush(session))
		session_lost(session);
	else if (!session_sending(session))
		all_sent(session);
	if (session_usable(session))
		watch(session);
}

struct session *session_new(const struct link *link)
{
	struct session *session = session_count < MAX_SESSIONS ? calloc(1, sizeof *session) : NULL;

	if (session == NULL)
		return NULL;
	session->link = link;
	session->source.fd = -1;
	session->timer.expired = expired;
	session->next = sessions;
	sessions = session;
	session_count++;
	timer_start(&session->timer, REQUEST_MS);
	return session;
}

void sessions_open(request_handler handler)
{
	handle = handler;
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
