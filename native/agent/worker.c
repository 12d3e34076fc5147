#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"
#include "json.h"
#include "spawn.h"

#define MAX_REPLY_BYTES (16u << 20)
#define MAX_PRINTED_BYTES (1u << 20)
#define DRAIN_BYTES (1 << 20)

void worker_interrupt(const struct worker *worker)
{
	kill(worker->pid, SIGINT);
}

void worker_kill(const struct worker *worker)
{
	/* Itself too: it may not have got as far as to lead a group. */
	if (kill(-worker->pid, SIGKILL) != 0)
		kill(worker->pid, SIGKILL);
}

static void watch_control(struct worker *worker)
{
	source_watch(&worker->control, EPOLLIN | (worker->unsent.length > 0 ? EPOLLOUT : 0));
}

static void flush(struct worker *worker)
{
	while (worker->unsent.length > 0) {
		ssize_t count = send(worker->control.fd, worker->unsent.bytes, worker->unsent.length, MSG_NOSIGNAL);

		if (count < 0)
			break; /* it waits, or its end is noticed by itself */
		text_drop(&worker->unsent, (size_t)count); /* not negative */
	}
	watch_control(worker);
}

void worker_send(struct worker *worker, struct text *line, bool collect)
{
	text_add(&worker->unsent, line->bytes, line->length);
	text_put(&worker->unsent, "\n");
	worker->unsent.failed |= line->failed;
	text_free(line);
	worker->collecting |= collect;
	if (worker->unsent.failed)
		worker_kill(worker);
	else
		flush(worker);
}

void worker_note(struct worker *worker, const char *line)
{
	text_put(&worker->outputs[1].printed, line);
	text_put(&worker->outputs[1].printed, "\n");
}

static bool read_output(struct worker_output *output)
{
	static char chunk[CHUNK_BYTES];
	struct worker *worker = output->worker;
	ssize_t count = output->source.fd < 0 ? -1 : read(output->source.fd, chunk, sizeof chunk);
	size_t room = MAX_PRINTED_BYTES - output->printed.length;

	if (count == 0)
		source_close(&output->source);
	if (count <= 0)
		return false;
	if (worker->collecting) {
		worker->truncated |= (size_t)count > room; /* not negative */
		text_add(&output->printed, chunk, (size_t)count < room ? (size_t)count : room);
	}
	return true;
}

static void output_ready(struct source *source, uint32_t events)
{
	(void)events; /* reading tells all */
	read_output(owner_of(source, struct worker_output, source));
}

static void drain_outputs(struct worker *worker)
{
	for (int i = 0; i < 2; i++)
		for (int left = DRAIN_BYTES; left > 0 && read_output(&worker->outputs[i]);)
			left -= (int)CHUNK_BYTES;
}

/* A member as it is written, if it is a string. */
static void add_string(struct text *outcome, struct json answer, const char *name)
{
	struct json value;

	if (json_member(answer, name, &value) == 0 && json_is(value, '"'))
		text_add(outcome, value.at, (size_t)(value.end - value.at));
	else
		text_put(outcome, "null");
}

/* Adds what was printed, and forgets it. */
static void add_printed(struct worker *worker, struct text *outcome)
{
	static const char *const names[2] = { ",\"stdout\":", ",\"stderr\":" };

	for (int i = 0; i < 2; i++) {
		struct text *printed = &worker->outputs[i].printed;

		text_put(outcome, names[i]);
		text_quote(outcome, printed->bytes == NULL ? "" : printed->bytes, printed->length);
		worker->truncated |= printed->failed;
		text_free(printed);
	}
	text_put(outcome, worker->truncated ? ",\"truncated\":true}" : ",\"truncated\":false}");
	worker->truncated = worker->collecting = false;
}

void worker_outcome(struct worker *worker, const char *error, struct text *outcome)
{
	text_put(outcome, "{\"result\":null,\"error\":");
	text_quote(outcome, error, strlen(error));
	text_put(outcome, ",\"exit_code\":1");
	add_printed(worker, outcome);
}

static void take_line(struct worker *worker, const char *bytes, size_t length)
{
	struct text outcome = { 0 };
	struct json answer, value;

	if (json_check(bytes, length, &answer) != 0 || !json_is(answer, '{')) {
		worker_kill(worker);
		return;
	}
	if (json_member(answer, "ready", &value) == 0 && json_is(value, 't')) {
		worker->ready = true;
		worker->reseeds = json_member(answer, "reseeds", &value) == 0 && json_is(value, 't');
		worker->became_ready();
		return;
	}
	drain_outputs(worker);
	text_put(&outcome, "{\"result\":");
	add_string(&outcome, answer, "result");
	text_put(&outcome, ",\"error\":");
	add_string(&outcome, answer, "error");
	text_put(&outcome, ",\"exit_code\":");
	value = (struct json){ "1", "1" };
	if (json_member(answer, "exit_code", &value) != 0 || !json_is_number(value))
		text_number(&outcome, 1);
	else
		text_number(&outcome, (int32_t)json_number(value)); /* a status; more is cut off */
	add_printed(worker, &outcome);
	worker->answered(&outcome);
}

/* False when there is no more for now. */
static bool read_control(struct worker *worker)
{
	struct text *line = &worker->line;
	size_t from = line->length;
	const char *end;
	ssize_t count;

	if (line->length > MAX_REPLY_BYTES || !text_reserve(line, CHUNK_BYTES)) {
		worker_kill(worker);
		source_close(&worker->control);
		return false;
	}
	count = recv(worker->control.fd, line->bytes + from, CHUNK_BYTES, 0);
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
		worker_kill(worker);
		source_close(&worker->control);
	}
	if (count <= 0)
		return false;
	line->length += (size_t)count; /* not negative */
	while ((end = memchr(line->bytes + from, '\n', line->length - from)) != NULL) {
		size_t length = (size_t)(end - line->bytes);

		take_line(worker, line->bytes, length);
		text_drop(line, length + 1);
		from = 0;
	}
	if (line->length == 0)
		text_free(line);
	return true;
}

static void control_ready(struct source *source, uint32_t events)
{
	struct worker *worker = owner_of(source, struct worker, control);

	if ((events & EPOLLOUT) != 0)
		flush(worker);
	if ((events & ~(uint32_t)EPOLLOUT) != 0)
		read_control(worker);
}

static void close_all(struct worker *worker)
{
	source_close(&worker->exit);
	source_close(&worker->control);
	for (int i = 0; i < 2; i++)
		source_close(&worker->outputs[i].source);
	group_leave(&worker->group);
	text_free(&worker->unsent);
	text_free(&worker->line);
}

static void describe_end(struct worker *worker, char *how, size_t room)
{
	int signal, status = reap(worker->pid, &signal);
	int error = spawn_outcome(&worker->report_fd);

	worker->begun = error == 0;
	if (error != 0)
		snprintf(how, room, "cannot be started: %s", strerror(-error));
	else if (signal > 0)
		snprintf(how, room, "was killed by signal %d", signal);
	else
		snprintf(how, room, "exited with status %d", status);
}

static void exited(struct source *source, uint32_t events)
{
	struct worker *worker = owner_of(source, struct worker, exit);
	char how[96];

	(void)events; /* only one kind is asked for */
	/* It may have answered with its last breath. The socket holds less than this; what it left running may go on for ever. */
	for (int left = DRAIN_BYTES; left > 0 && worker->control.fd >= 0 && read_control(worker);)
		left -= (int)CHUNK_BYTES;
	worker_kill(worker);
	describe_end(worker, how, sizeof how);
	drain_outputs(worker);
	close_all(worker);
	worker->running = false;
	worker->died(how);
}

struct ends {
	int ours[3], theirs[3], null; /* control, output, error */
};

static void close_ends(const int *fds)
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int open_ends(struct ends *ends)
{
	int pair[2];

	*ends = (struct ends){ { -1, -1, -1 }, { -1, -1, -1 }, open("/dev/null", O_RDONLY | O_CLOEXEC) };
	if (ends->null < 0)
		return -errno;
	for (int i = 0; i < 3; i++) {
		if ((i == 0 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) : pipe2(pair, O_CLOEXEC)) != 0)
			return -errno;
		ends->ours[i] = pair[0];
		ends->theirs[i] = pair[1];
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int launch(struct worker *worker, const struct ends *ends, char *const *command, const struct env *env)
{
	const char *home = env_get(env, "HOME");
	char number[16];
	struct child child;
	struct env all = { 0 };
	struct launch launch = { .args = command, .env = &all, .cwd = home == NULL || *home == 0 ? "/" : home,
				 .stdin_fd = ends->null, .stdout_fd = ends->theirs[1], .stderr_fd = ends->theirs[2],
				 .passed_fd = ends->theirs[0] };
	int error = env_add(&all, env);

	worker->group = group_new();
	launch.group_fd = worker->group.fd;
	snprintf(number, sizeof number, "%d", ends->theirs[0]);
	if (error == 0)
		error = env_set(&all, "BOUGH_FD", number);
	if (error == 0)
		error = env_settle(&all);
	if (error == 0)
		error = spawn(&launch, &child);
	group_started(&worker->group);
	env_free(&all);
	if (error != 0) {
		group_leave(&worker->group);
	} else {
		worker->pid = child.pid;
		worker->exit.fd = child.pidfd;
		worker->report_fd = child.report_fd;
	}
	return error;
}

int worker_start(struct worker *worker, char *const *command, const struct env *env)
{
	struct ends ends;
	int error = open_ends(&ends);

	if (error == 0)
		error = launch(worker, &ends, command, env);
	close_ends(ends.theirs);
	if (ends.null >= 0)
		close(ends.null);
	if (error != 0) {
		close_ends(ends.ours);
		return error;
	}
	worker->running = true;
	worker->ready = worker->collecting = worker->truncated = false;
	worker->exit = (struct source){ .fd = worker->exit.fd, .ready = exited };
	worker->control = (struct source){ .fd = ends.ours[0], .ready = control_ready };
	source_watch(&worker->exit, EPOLLIN);
	watch_control(worker);
	for (int i = 0; i < 2; i++) {
		worker->outputs[i] = (struct worker_output){
			.source = { .fd = ends.ours[i + 1], .ready = output_ready },
			.worker = worker,
		};
		source_watch(&worker->outputs[i].source, EPOLLIN);
	}
	return 0;
}
