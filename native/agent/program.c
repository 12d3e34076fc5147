#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "feed.h"
#include "group.h"
#include "leftover.h"
#include "pace.h"
#include "pipes.h"
#include "spawn.h"

/* A pipe holds no more: what is written into it after the program's end cannot keep us. */
#define DRAIN_BYTES (1 << 20)
/* For a client to take what is left of the output after the deadline. */
#define LATE_READER_MS 30000
/* Of a program's name, in what is said of it. */
#define MAX_NAME_BYTES 4096

struct output {
	struct source source;
	struct pace pace;
	struct program *program;
	enum frame_kind kind;
	int held_fd; /* the program's end of it: that it closes its own is no event then */
	int left_bytes; /* to be read after the program's end */
};

struct program {
	struct work work;
	struct session *session; /* NULL: its output is thrown away */
	struct timer deadline;
	struct source exit;
	struct source input;
	struct output outputs[2];
	struct group group;
	struct program *next;
	struct child child;
	char *name; /* as it was asked for */
	int start_error; /* what kept it from beginning */
	int input_error; /* what kept its input from it */
	int exit_code;
	uint32_t input_left_bytes; /* of the frame that is being read */
	bool input_ended, ended, timed_out, done;
};

static struct program *programs;

static void kill_all(struct program *program)
{
	if (!program->ended)
		group_kill(&program->group, program->child.pid);
}

/* As a shell says it: users of exec look at the exit code and at standard error. */
static void not_started(struct session *session, const char *name, int error)
{
	bool absent = error == -ENOENT || error == -ENOTDIR;
	struct text line = { 0 }, end = { 0 };

	text_put(&line, "bough: ");
	text_add(&line, name, strnlen(name, MAX_NAME_BYTES));
	text_put(&line, ": ");
	text_put(&line, spawn_reason(error));
	text_put(&line, "\n");
	if (!line.failed && session_usable(session))
		session_send(session, FRAME_STDERR, line.bytes, line.length);
	text_free(&line);
	text_put(&end, absent ? "{\"exit_code\":127}" : "{\"exit_code\":126}");
	session_end(session, &end);
}

static void finish(struct program *program)
{
	struct session *session = program->session;
	struct text end = { 0 };

	program->done = true;
	program->session = NULL;
	timer_stop(&program->deadline);
	source_close(&program->input);
	for (int i = 0; i < 2; i++) {
		int fd = program->outputs[i].source.fd;

		pace_close(&program->outputs[i].pace);
		source_watch(&program->outputs[i].source, 0);
		program->outputs[i].source.fd = -1;
		if (fd >= 0)
			leftover_adopt(fd);
	}
	group_leave(&program->group);
	if (session == NULL)
		return;
	if (program->timed_out) {
		session_fail(session, "deadline", "the program was killed at its deadline");
		return;
	}
	if (program->start_error != 0) {
		not_started(session, program->name, program->start_error);
		return;
	}
	if (program->input_error != 0) {
		feed_fail(session, program->input_error, "it was killed");
		return;
	}
	text_put(&end, "{\"exit_code\":");
	text_number(&end, program->exit_code);
	text_put(&end, "}");
	session_end(session, &end);
}

/* Passes one piece of output on. 0 when there is none now. */
static size_t forward(struct output *output)
{
	/* All that the pipe holds: fewer pieces, and fewer that fill no write of a serial port. */
	static char piece[PIPE_BYTES];
	struct session *session = output->program->session;
	ssize_t count;

	if (output->source.fd < 0)
		return 0;
	count = read(output->source.fd, piece, sizeof piece);
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
		source_close(&output->source);
	if (count <= 0)
		return 0;
	if (session != NULL && session_usable(session))
		session_send(session, output->kind, piece, (size_t)count); /* positive */
	return (size_t)count;
}

static bool sending(const struct program *program)
{
	return program->session != NULL && session_sending(program->session);
}

static void watch_outputs(struct program *program)
{
	bool wanted = !sending(program) && !program->ended;

	for (int i = 0; i < 2; i++) {
		struct output *output = &program->outputs[i];

		source_watch(&output->source, wanted && !output->pace.rests ? EPOLLIN : 0);
	}
}

static void rested(struct pace *pace)
{
	watch_outputs(owner_of(pace, struct output, pace)->program);
}

/* What the program wrote before it ended is in the pipes already. */
static void drain(struct program *program)
{
	for (int i = 0; i < 2; i++) {
		struct output *output = &program->outputs[i];

		while (output->left_bytes > 0) {
			if (sending(program))
				return;
			output->left_bytes = forward(output) > 0 ? output->left_bytes - (int)PIPE_BYTES : 0;
		}
	}
	if (!sending(program) && !program->done)
		finish(program);
}

static void output_ready(struct source *source, uint32_t events)
{
	struct output *output = owner_of(source, struct output, source);

	(void)events; /* reading tells all */
	pace_took(&output->pace, forward(output), PIPE_BYTES);
	watch_outputs(output->program);
}

static void exited(struct source *source, uint32_t events)
{
	struct program *program = owner_of(source, struct program, exit);
	int signal;

	(void)events; /* only one kind is asked for */
	program->exit_code = reap(program->child.pid, &signal);
	program->start_error = spawn_outcome(&program->child.report_fd);
	program->ended = true;
	source_close(source);
	source_close(&program->input);
	for (int i = 0; i < 2; i++)
		close(program->outputs[i].held_fd);
	watch_outputs(program);
	drain(program);
}

static void deadline(struct timer *timer)
{
	struct program *program = owner_of(timer, struct program, deadline);

	if (program->timed_out) {
		if (program->session != NULL)
			session_close(program->session);
		return;
	}
	program->timed_out = true;
	timer_start(timer, LATE_READER_MS);
	kill_all(program);
}

static void sent(struct work *work)
{
	struct program *program = owner_of(work, struct program, work);

	if (program->ended)
		drain(program);
	else
		watch_outputs(program);
}

static void gone(struct work *work, bool cancelled)
{
	struct program *program = owner_of(work, struct program, work);

	program->session = NULL;
	if (cancelled)
		kill_all(program);
	sent(work);
}

/* Reads the header of the next STDIN frame. False when there is none yet, or never will be. */
static bool next_frame(struct program *program)
{
	struct session *session = program->session;
	const char *header = session->input.bytes;
	uint32_t length;

	if (session->input.length < FRAME_HEADER_BYTES)
		return false;
	length = frame_length(header);
	if (header[0] != FRAME_STDIN || length > MAX_STDIN_BYTES || program->input_ended) {
		session_close(session);
		return false;
	}
	program->input_ended = length == 0;
	program->input_left_bytes = length;
	session_input_taken(session, FRAME_HEADER_BYTES);
	if (program->input_ended)
		source_close(&program->input);
	return true;
}

/* Without some of its input it would go on as if that were all. What it was given and what it printed are as they are. */
static void lose_input(struct program *program, int error)
{
	program->input_error = error;
	kill_all(program);
}

/* Passes input on; what a program does not want is thrown away. False when the pipe is full. */
static bool feed(struct program *program)
{
	struct text *input = &program->session->input;
	size_t length = input->length < program->input_left_bytes ? input->length : program->input_left_bytes;
	ssize_t count = (ssize_t)length; /* at most a frame */

	if (program->input.fd >= 0) {
		count = write(program->input.fd, input->bytes, length);
		if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
			source_watch(&program->input, EPOLLOUT);
			return false;
		}
		if (count < 0) {
			if (errno != EPIPE)
				lose_input(program, -errno);
			source_close(&program->input);
			count = (ssize_t)length;
		}
	}
	program->input_left_bytes -= (uint32_t)count; /* not negative, and no more than there was */
	session_input_taken(program->session, (size_t)count);
	return true;
}

static void take_input(struct work *work)
{
	struct program *program = owner_of(work, struct program, work);

	source_watch(&program->input, 0);
	while (program->session != NULL) {
		bool more = program->input_left_bytes == 0 ? next_frame(program)
							    : program->session->input.length > 0 && feed(program);

		if (!more)
			return;
	}
}

static void input_ready(struct source *source, uint32_t events)
{
	struct program *program = owner_of(source, struct program, input);

	(void)events; /* writing tells all */
	if (program->session == NULL)
		source_watch(source, 0);
	else
		take_input(&program->work);
}

static void adopt(struct program *program, struct session *session, const struct pipes *pipes)
{
	program->work = (struct work){ .sent = sent, .input = take_input, .gone = gone };
	program->session = session;
	program->deadline.expired = deadline;
	program->exit = (struct source){ .fd = program->child.pidfd, .ready = exited };
	program->input = (struct source){ .fd = pipes->ours[0], .ready = input_ready };
	for (int i = 0; i < 2; i++) {
		program->outputs[i] = (struct output){
			.source = { .fd = pipes->ours[i + 1], .ready = output_ready },
			.program = program,
			.kind = i == 0 ? FRAME_STDOUT : FRAME_STDERR,
			.held_fd = pipes->theirs[i + 1],
			.left_bytes = DRAIN_BYTES,
		};
		pace_open(&program->outputs[i].pace, CHUNK_BYTES, rested);
	}
	program->next = programs;
	programs = program;
	session->work = &program->work;
	source_watch(&program->exit, EPOLLIN);
	watch_outputs(program);
}

/* 0, or -errno: then there is no process. */
static int launch(struct program *program, const struct command *command, struct pipes *pipes)
{
	struct launch launch;
	int error = pipes_open(pipes, true);

	if (error != 0)
		return error;
	program->group = group_new();
	launch = (struct launch){ .args = command->args, .env = &command->env, .cwd = command->cwd, .user = command->user,
				  .stdin_fd = pipes->theirs[0], .stdout_fd = pipes->theirs[1],
				  .stderr_fd = pipes->theirs[2], .passed_fd = -1,
				  .group_fd = program->group.fd };
	error = spawn(&launch, &program->child);
	group_started(&program->group);
	close(pipes->theirs[0]);
	if (error != 0) {
		close(pipes->theirs[1]);
		close(pipes->theirs[2]);
		pipes_close(pipes->ours);
		group_leave(&program->group);
	}
	return error;
}

static void release(struct program *program)
{
	free(program->name);
	free(program);
}

void program_start(struct session *session, const struct command *command)
{
	struct program *program = calloc(1, sizeof *program);
	struct pipes pipes;
	int error = -ENOMEM;

	if (program != NULL && (program->name = strndup(command->args[0], MAX_NAME_BYTES)) != NULL)
		error = launch(program, command, &pipes);
	if (error != 0) {
		if (program != NULL)
			release(program);
		not_started(session, command->args[0], error);
		return;
	}
	adopt(program, session, &pipes);
	if (command->deadline_ms > 0)
		timer_start(&program->deadline, command->deadline_ms);
}

void programs_sweep(void)
{
	struct program **at = &programs;

	while (*at != NULL) {
		struct program *program = *at;

		if (!program->done) {
			at = &program->next;
			continue;
		}
		*at = program->next;
		release(program);
	}
}
