#include "feed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fields.h"

static int resize(struct process *process, struct json size)
{
	struct problem problem;
	int64_t columns = 0, rows = 0;
	int error = field_whole(size, "cols", 1, UINT16_MAX, &columns, &problem);

	if (error == 0)
		error = field_whole(size, "rows", 1, UINT16_MAX, &rows, &problem);
	/* That the program has ended meanwhile is no fault of the client's. */
	if (error == 0 && columns > 0 && rows > 0)
		process_resize(process, (unsigned)columns, (unsigned)rows); /* both are in range */
	return error;
}

/* 0, or -EINVAL for what is no control. */
static int control(struct process *process, const char *text, size_t length)
{
	struct problem problem;
	struct json request, size;
	int64_t signal = 0;
	int error = json_check(text, length, &request);

	if (error != 0)
		return error;
	if (json_member(request, "resize", &size) == 0)
		return resize(process, size);
	error = field_whole(request, "signal", 1, 64, &signal, &problem);
	if (error == 0 && signal > 0)
		process_signal(process, (int)signal); /* in range; a program that has ended needs none */
	return error;
}

static enum feed_state broken(struct feed *feed)
{
	session_close(feed->session);
	return FEED_BROKEN;
}

static enum feed_state take_control(struct feed *feed, uint32_t length)
{
	struct text *input = &feed->session->input;

	if (length > MAX_CONTROL_BYTES)
		return broken(feed);
	if (input->length < FRAME_HEADER_BYTES + length)
		return FEED_WAITS;
	if (control(feed->process, input->bytes + FRAME_HEADER_BYTES, length) != 0)
		return broken(feed);
	session_input_taken(feed->session, FRAME_HEADER_BYTES + length);
	return FEED_MOVES;
}

static enum feed_state next_frame(struct feed *feed)
{
	struct text *input = &feed->session->input;
	uint32_t length;

	if (input->length < FRAME_HEADER_BYTES)
		return FEED_WAITS;
	length = frame_length(input->bytes);
	if (input->bytes[0] == FRAME_CONTROL)
		return take_control(feed, length);
	if (input->bytes[0] != FRAME_STDIN || length > MAX_STDIN_BYTES)
		return broken(feed);
	feed->left_bytes = length;
	session_input_taken(feed->session, FRAME_HEADER_BYTES);
	return length == 0 ? FEED_ENDED : FEED_MOVES;
}

static enum feed_state pass_on(struct feed *feed)
{
	struct text *input = &feed->session->input;
	size_t length = input->length < feed->left_bytes ? input->length : feed->left_bytes;
	ssize_t count = length == 0 ? 0 : process_write(feed->process, input->bytes, length);

	if (count == 0)
		return FEED_WAITS;
	if (count > 0)
		length = (size_t)count; /* positive */
	feed->error = count < 0 ? (int)count : 0; /* -errno */
	feed->left_bytes -= (uint32_t)length; /* no more than there was */
	session_input_taken(feed->session, length);
	return count >= 0 ? FEED_MOVES : count == -EPIPE ? FEED_REFUSED : FEED_LOST;
}

enum feed_state feed_take(struct feed *feed)
{
	enum feed_state state;

	do
		state = feed->left_bytes > 0 ? pass_on(feed) : next_frame(feed);
	while (state == FEED_MOVES);
	return state;
}

void feed_fail(struct session *session, int error, const char *state)
{
	char message[160];

	snprintf(message, sizeof message, "the program's input could not be passed on (%s); %s", strerror(-error), state);
	session_fail(session, "input_lost", message);
}
