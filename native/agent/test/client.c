#include "client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attachment.h"
#include "errand.h"
#include "process.h"
#include "program.h"
#include "tcp.h"

struct session *open_session(int *client_fd)
{
	struct session *session = calloc(1, sizeof *session);
	int pair[2];

	assert(session != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	session->link = &tcp_link;
	session->source.fd = pair[0];
	session->phase = RUNNING;
	*client_fd = pair[1];
	return session;
}

void close_session(struct session *session, int client_fd)
{
	session_close(session);
	close(client_fd);
	text_free(&session->input);
	text_free(&session->output);
	free(session);
}

void add_frame(struct session *session, enum frame_kind kind, const char *payload, size_t length)
{
	char header[FRAME_HEADER_BYTES];

	frame_header(header, kind, length);
	text_add(&session->input, header, sizeof header);
	text_add(&session->input, payload, length);
}

/* As the agent's own loop does. */
static void turn(void)
{
	loop_turn();
	programs_sweep();
	attachments_sweep();
	processes_sweep();
	errands_sweep();
}

static void await_bytes(int client_fd, char *to, size_t length)
{
	size_t filled = 0;

	while (filled < length) {
		ssize_t count = recv(client_fd, to + filled, length - filled, 0);

		assert(count > 0 || (count < 0 && errno == EAGAIN));
		if (count > 0)
			filled += (size_t)count; /* positive */
		else
			turn();
	}
}

enum frame_kind await_frame(int client_fd, char *payload, size_t room, size_t *length)
{
	char header[FRAME_HEADER_BYTES];
	size_t bytes;

	await_bytes(client_fd, header, sizeof header);
	bytes = frame_length(header);
	assert(bytes < room);
	await_bytes(client_fd, payload, bytes);
	payload[bytes] = 0;
	if (length != NULL)
		*length = bytes;
	return (enum frame_kind)header[0]; /* the agent's own */
}

void await_end(int client_fd, char *answer, size_t room)
{
	while (await_frame(client_fd, answer, room, NULL) != FRAME_END)
		;
}

void write_file(const char *folder, const char *name, const char *content)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "w");
	assert(file != NULL && fputs(content, file) >= 0 && fclose(file) == 0);
}
