#include "process_operations.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attachment.h"
#include "command.h"
#include "description.h"
#include "spawn.h"

/* What JSON's numbers hold exactly. */
#define MAX_OFFSET ((int64_t)1 << 53)

static const struct config *config;

void process_operations_open(const struct config *with)
{
	config = with;
}

static void answer_done(struct session *session)
{
	struct text done = { 0 };

	text_put(&done, "{}");
	session_end(session, &done);
}

static void answer_description(struct session *session, const struct process *process)
{
	struct text answer = { 0 };

	process_describe(process, &answer);
	session_end(session, &answer);
}

/* Looks for the process that is meant. Ends the session when there is none: then NULL. */
static struct process *named(struct session *session, struct json request)
{
	struct problem problem;
	struct process *process;
	int64_t pid = 0;
	int error = field_whole(request, "pid", 1, INT32_MAX, &pid, &problem);

	if (error != 0) {
		session_refuse(session, error, &problem);
		return NULL;
	}
	process = process_find((pid_t)pid); /* in range */
	if (process == NULL) {
		snprintf(problem.text, sizeof problem.text, "there is no process %lld", (long long)pid); /* as %lld takes it */
		session_fail(session, "no_process", problem.text);
	}
	return process;
}

struct start {
	struct command command;
	char *tag;
	struct process_spec spec;
	bool attaches, kills;
};

static int read_terminal(struct json request, struct process_spec *spec, struct problem *problem)
{
	struct json terminal;
	int64_t columns = 0, rows = 0;
	int error;

	if (json_member(request, "pty", &terminal) != 0 || json_is(terminal, 'n'))
		return 0;
	error = field_whole(terminal, "cols", 1, UINT16_MAX, &columns, problem);
	if (error == 0)
		error = field_whole(terminal, "rows", 1, UINT16_MAX, &rows, problem);
	if (error == 0 && (columns == 0 || rows == 0)) {
		snprintf(problem->text, sizeof problem->text, "pty must have cols and rows");
		error = -EINVAL;
	}
	spec->columns = (unsigned)columns; /* in range */
	spec->rows = (unsigned)rows;
	return error;
}

static int read_start(struct json request, struct start *start, struct problem *problem)
{
	int error = command_read(config, request, &start->command, problem);

	if (error == 0)
		error = field_text(request, "tag", &start->tag, problem);
	if (error == 0)
		error = read_terminal(request, &start->spec, problem);
	if (error == 0)
		error = field_flag(request, "stdin", &start->spec.input, problem);
	if (error == 0)
		error = field_flag(request, "attach", &start->attaches, problem);
	if (error == 0)
		error = field_flag(request, "kill_on_disconnect", &start->kills, problem);
	start->spec.command = &start->command;
	start->spec.tag = start->tag;
	return error;
}

/* 0 or -ENOMEM. */
static int send_started(struct session *session, const struct process *process)
{
	struct text event = { 0 };
	int error;

	text_put(&event, "{\"started\":");
	process_describe(process, &event);
	text_put(&event, "}");
	error = event.failed ? -ENOMEM : 0;
	if (error == 0)
		session_send(session, FRAME_EVENT, event.bytes, event.length);
	text_free(&event);
	return error;
}

static void not_started(struct session *session, const char *name, int error)
{
	struct problem problem;

	if (error == -EAGAIN) {
		session_fail(session, "busy", "too many processes run");
		return;
	}
	snprintf(problem.text, sizeof problem.text, "%.100s: %s", name, spawn_reason(error));
	session_fail(session, "not_started", problem.text);
}

/* A start that is under way: whether the program can be run is not known yet. */
struct starting {
	struct work work;
	struct starter starter;
	struct session *session; /* NULL when its client has gone */
	char name[101]; /* as much of it as is said */
	bool attaches, kills, cancelled;
};

/* What came for the program waits in the session. */
static void keep_input(struct work *work)
{
	(void)work; /* it has no place for it */
}

static void starter_gone(struct work *work, bool cancelled)
{
	struct starting *starting = owner_of(work, struct starting, work);

	starting->session = NULL;
	starting->cancelled = cancelled;
}

static void attach_starter(struct starting *starting, struct process *process)
{
	const struct attachment_request wanted = {
		.process = process, .follow = true, .feeds = true, .kills = starting->kills
	};
	struct session *session = starting->session;
	int error = session_usable(session) ? send_started(session, process) : 0;

	if (starting->session == NULL)
		return;
	if (error != 0 || attach(session, &wanted) != 0) {
		starting->cancelled = true;
		session_refuse(session, -ENOMEM, NULL);
	} else if (session->input.length > 0 && session->work != NULL) {
		session->work->input(session->work);
	}
}

static void begun(struct starter *starter, struct process *process, int error)
{
	struct starting *starting = owner_of(starter, struct starting, starter);

	if (starting->session != NULL && process == NULL)
		not_started(starting->session, starting->name, error);
	else if (starting->session != NULL && starting->attaches)
		attach_starter(starting, process);
	else if (starting->session != NULL)
		answer_description(starting->session, process);
	if (process != NULL && starting->cancelled && starting->kills)
		process_signal(process, SIGKILL);
	free(starting);
}

static void start(struct session *session, const struct start *wanted)
{
	const char *name = wanted->command.args[0];
	struct starting *starting = calloc(1, sizeof *starting);
	struct process_spec spec = wanted->spec;
	struct text about = { 0 };
	int error;

	program_describe(&spec, &about);
	spec.about = &about;
	error = starting == NULL ? -ENOMEM : process_start(&spec, &starting->starter);
	text_free(&about);
	if (error != 0) {
		not_started(session, name, error);
		free(starting);
		return;
	}
	starting->work = (struct work){ .input = wanted->attaches ? keep_input : NULL, .gone = starter_gone };
	starting->starter.begun = begun;
	starting->session = session;
	starting->attaches = wanted->attaches;
	starting->kills = wanted->kills;
	snprintf(starting->name, sizeof starting->name, "%s", name);
	session->work = &starting->work;
}

void run_start(struct session *session, struct json request)
{
	struct start wanted = { 0 };
	struct problem problem;
	int error = read_start(request, &wanted, &problem);

	if (error != 0)
		session_refuse(session, error, &problem);
	else
		start(session, &wanted);
	command_free(&wanted.command);
	free(wanted.tag);
}

void run_processes(struct session *session, struct json request)
{
	struct text answer = { 0 };

	(void)request; /* it has no fields */
	processes_describe(&answer);
	session_end(session, &answer);
}

void run_process(struct session *session, struct json request)
{
	struct process *process = named(session, request);

	if (process != NULL)
		answer_description(session, process);
}

static void read_on(struct session *session, struct json request, bool feeds)
{
	static const char *const names[2] = { "stdout_from", "stderr_from" };
	struct attachment_request wanted = { .process = named(session, request), .follow = feeds, .feeds = feeds };
	struct problem problem;
	int error = 0;

	if (wanted.process == NULL)
		return;
	for (int i = 0; i < 2 && error == 0; i++) {
		int64_t from = 0;

		error = field_whole(request, names[i], 0, MAX_OFFSET, &from, &problem);
		wanted.from[i] = (uint64_t)from; /* not negative */
	}
	if (error == 0 && !feeds)
		error = field_flag(request, "follow", &wanted.follow, &problem);
	if (error == 0)
		error = attach(session, &wanted);
	if (error != 0)
		session_refuse(session, error, &problem);
}

void run_output(struct session *session, struct json request)
{
	read_on(session, request, false);
}

void run_attach(struct session *session, struct json request)
{
	read_on(session, request, true);
}

void run_stdin(struct session *session, struct json request)
{
	struct process *process = named(session, request);
	struct problem problem;
	bool end = false;
	int error;

	if (process == NULL)
		return;
	error = field_flag(request, "eof", &end, &problem);
	if (error == 0 && !process_takes_input(process)) {
		session_fail(session, "stdin_closed", "the program takes no input, or no more");
		return;
	}
	if (error == 0)
		error = attach_input(session, process, end);
	if (error != 0)
		session_refuse(session, error, &problem);
}

/* Answers what an act on a process came to: 0 or -errno. */
static void answer_act(struct session *session, int error)
{
	if (error == 0)
		answer_done(session);
	else if (error == -ESRCH)
		session_fail(session, "process_ended", "the program has ended");
	else if (error == -ENOTTY)
		session_fail(session, "no_terminal", "the program has no terminal");
	else
		session_fail(session, "bad_request", strerror(-error));
}

void run_signal(struct session *session, struct json request)
{
	struct process *process = named(session, request);
	struct problem problem;
	int64_t signal = 15;
	int error;

	if (process == NULL)
		return;
	error = field_whole(request, "signal", 1, 64, &signal, &problem);
	if (error != 0)
		session_refuse(session, error, &problem);
	else
		answer_act(session, process_signal(process, (int)signal)); /* in range */
}

void run_resize(struct session *session, struct json request)
{
	struct process *process = named(session, request);
	struct problem problem;
	int64_t columns = 80, rows = 24;
	int error;

	if (process == NULL)
		return;
	error = field_whole(request, "cols", 1, UINT16_MAX, &columns, &problem);
	if (error == 0)
		error = field_whole(request, "rows", 1, UINT16_MAX, &rows, &problem);
	if (error != 0)
		session_refuse(session, error, &problem);
	else
		answer_act(session, process_resize(process, (unsigned)columns, (unsigned)rows)); /* in range */
}
