#include "attachment.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "description.h"
#include "feed.h"

struct attachment {
	struct work work;
	struct reader reader;
	struct writer writer;
	struct feed feed;
	struct attachment *next;
	struct process *process;
	struct session *session; /* NULL when it is done */
	uint64_t until[2]; /* UINT64_MAX while it follows */
	bool kills;
	bool one_input; /* it only gives input, and ends with it */
	bool ends_input;
};

static struct attachment *attachments;

static void leave(struct attachment *attachment)
{
	attachment->session = NULL;
	process_remove_writer(attachment->process, &attachment->writer);
	process_remove_reader(attachment->process, &attachment->reader);
	attachment->process->holders--;
}

static void end(struct attachment *attachment)
{
	struct session *session = attachment->session;
	struct text answer = { 0 };

	process_describe(attachment->process, &answer);
	leave(attachment);
	session_end(session, &answer);
}

static void send_gap(struct attachment *attachment, size_t stream, uint64_t from)
{
	char event[80]; /* no memory is asked for: that bytes are gone is said in any case */
	uint64_t *at = &attachment->reader.at[stream];
	int length = snprintf(event, sizeof event, "{\"gap\":{\"stream\":\"%s\",\"bytes\":%" PRIu64 "}}",
			      stream == 0 ? "stdout" : "stderr", from - *at);

	*at = from;
	session_send(attachment->session, FRAME_EVENT, event, (size_t)length); /* it fits */
}

/* False when there is nothing of that stream to send now. */
static bool send_piece(struct attachment *attachment, size_t stream)
{
	const struct process *process = attachment->process;
	const struct ring *ring = &process->outputs[stream].ring;
	uint64_t *at = &attachment->reader.at[stream];
	uint64_t left = attachment->until[stream] - *at;
	const char *bytes;
	size_t length;

	if (session_sending(attachment->session) || !session_usable(attachment->session))
		return false;
	if (*at < ring->from) {
		send_gap(attachment, stream, ring->from);
		return true;
	}
	if (*at == ring->to || left == 0)
		return false;
	length = ring_bytes(ring, *at, &bytes);
	length = length < CHUNK_BYTES ? length : CHUNK_BYTES;
	length = length < left ? length : (size_t)left; /* the smaller of the two */
	*at += length;
	session_send(attachment->session, process->terminal ? FRAME_PTY : stream == 0 ? FRAME_STDOUT : FRAME_STDERR,
		     bytes, length);
	return true;
}

static bool all_sent(const struct attachment *attachment)
{
	for (int i = 0; i < 2; i++)
		if (attachment->reader.at[i] < attachment->until[i])
			return false;
	return true;
}

/* Sends what there is, as far as the client takes it. */
static void more(struct reader *reader)
{
	struct attachment *attachment = owner_of(reader, struct attachment, reader);
	bool moved = attachment->session != NULL && !attachment->one_input;

	if (!moved)
		return;
	while (moved && attachment->session != NULL) {
		moved = send_piece(attachment, 0);
		moved |= attachment->session != NULL && send_piece(attachment, 1);
	}
	if (attachment->session == NULL || session_sending(attachment->session) ||
	    !session_usable(attachment->session))
		return;
	for (int i = 0; i < 2; i++)
		if (attachment->process->over && attachment->until[i] == UINT64_MAX)
			attachment->until[i] = attachment->process->outputs[i].ring.to;
	if (all_sent(attachment))
		end(attachment);
}

static void sent(struct work *work)
{
	struct attachment *attachment = owner_of(work, struct attachment, work);
	struct process *process = attachment->process;

	if (attachment->session == NULL || attachment->one_input)
		return;
	/* A connection that is lost takes nothing, and is not waited for. */
	if (!session_usable(attachment->session))
		process_remove_reader(process, &attachment->reader);
	else
		more(&attachment->reader);
	process_read_from(process);
}

static void end_input(struct attachment *attachment)
{
	struct session *session = attachment->session;
	struct text answer = { 0 };

	if (attachment->ends_input)
		process_end_input(attachment->process);
	text_put(&answer, "{\"stdin_bytes\":");
	text_number(&answer, (long long)attachment->process->input_bytes); /* below 2^63 */
	text_put(&answer, "}");
	leave(attachment);
	session_end(session, &answer);
}

static void refuse_input(struct attachment *attachment)
{
	struct session *session = attachment->session;

	leave(attachment);
	session_fail(session, "stdin_closed", "the program takes no input, or no more");
}

/* Nobody is to think that the program had all of it. */
static void lose_input(struct attachment *attachment)
{
	struct session *session = attachment->session;
	bool kills = attachment->kills && !attachment->process->ended;

	if (kills)
		process_signal(attachment->process, SIGKILL);
	leave(attachment);
	feed_fail(session, attachment->feed.error, kills ? "it was killed" : "it goes on");
}

static void take_input(struct work *work)
{
	struct attachment *attachment = owner_of(work, struct attachment, work);
	enum feed_state state = FEED_MOVES;

	while (attachment->session != NULL && state != FEED_WAITS && state != FEED_BROKEN) {
		state = feed_take(&attachment->feed);
		if (!attachment->one_input && state == FEED_ENDED)
			process_end_input(attachment->process);
		else if (attachment->one_input && state == FEED_ENDED)
			end_input(attachment);
		else if (attachment->one_input && state == FEED_REFUSED)
			refuse_input(attachment);
		else if (state == FEED_LOST)
			lose_input(attachment);
	}
}

static void room(struct writer *writer)
{
	struct attachment *attachment = owner_of(writer, struct attachment, writer);

	if (attachment->session != NULL)
		take_input(&attachment->work);
}

static void gone(struct work *work, bool cancelled)
{
	struct attachment *attachment = owner_of(work, struct attachment, work);
	struct process *process = attachment->process;

	if (attachment->session == NULL)
		return;
	if (cancelled && attachment->kills && !process->ended)
		process_signal(process, SIGKILL);
	leave(attachment);
}

/* Without input, what a client sends is thrown away. */
static struct attachment *new_attachment(struct session *session, struct process *process, bool feeds)
{
	struct attachment *attachment = calloc(1, sizeof *attachment);

	if (attachment == NULL)
		return NULL;
	attachment->work = (struct work){ .sent = sent, .input = feeds ? take_input : NULL, .gone = gone };
	attachment->session = session;
	attachment->process = process;
	attachment->feed = (struct feed){ .session = session, .process = process };
	attachment->reader.more = more;
	attachment->writer.room = room;
	attachment->next = attachments;
	attachments = attachment;
	process->holders++;
	session->work = &attachment->work;
	if (feeds)
		process_add_writer(process, &attachment->writer);
	return attachment;
}

int attach(struct session *session, const struct attachment_request *request)
{
	struct process *process = request->process;
	struct attachment *attachment = new_attachment(session, process, request->feeds);

	if (attachment == NULL)
		return -ENOMEM;
	attachment->kills = request->kills;
	for (int i = 0; i < 2; i++) {
		const struct ring *ring = &process->outputs[i].ring;

		attachment->reader.at[i] = request->from[i] < ring->to ? request->from[i] : ring->to;
		attachment->until[i] = request->follow && !process->over ? UINT64_MAX : ring->to;
	}
	process_add_reader(process, &attachment->reader);
	more(&attachment->reader);
	process_read_from(process);
	return 0;
}

int attach_input(struct session *session, struct process *process, bool end)
{
	struct attachment *attachment = new_attachment(session, process, true);

	if (attachment == NULL)
		return -ENOMEM;
	attachment->one_input = true;
	attachment->ends_input = end;
	attachment->reader.at[0] = attachment->reader.at[1] = UINT64_MAX;
	return 0;
}

void attachments_sweep(void)
{
	struct attachment **at = &attachments;

	while (*at != NULL) {
		struct attachment *attachment = *at;

		if (attachment->session != NULL) {
			at = &attachment->next;
			continue;
		}
		*at = attachment->next;
		free(attachment);
	}
}
