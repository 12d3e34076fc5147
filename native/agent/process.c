#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"
#include "leftover.h"
#include "pipes.h"
#include "spawn.h"

/* Ended programs that are remembered; fewer when what they printed fills the rings. */
#define MAX_ENDED 64
/* A pipe holds no more: what is written into it after the program's end cannot keep us. */
#define DRAIN_BYTES (1 << 20)
/* A terminal gives 4,095 bytes at once, and less while it is being filled. */
#define TERMINAL_BYTES (2u << 10)

static struct process *processes; /* the latest first */
static unsigned process_count, ended_count;

static void tell_readers(struct process *process)
{
	for (struct reader *reader = process->readers, *next; reader != NULL; reader = next) {
		next = reader->next;
		reader->more(reader);
	}
}

static void tell_writers(struct process *process)
{
	for (struct writer *writer = process->writers, *next; writer != NULL; writer = next) {
		next = writer->next;
		writer->room(writer);
	}
}

/* Where the next bytes go, and how many: none while the slowest reader needs the place. */
static size_t room_of(struct process_output *output, char **at)
{
	size_t stream = output == &output->process->outputs[1];
	uint64_t needed = output->ring.to;

	for (struct reader *reader = output->process->readers; reader != NULL; reader = reader->next)
		needed = reader->at[stream] < needed ? reader->at[stream] : needed;
	if (output->source.fd < 0 || (output->let_go && !output->process->ended))
		return 0;
	return ring_space(&output->ring, needed, at);
}

/* Reads one piece. False when there is none now. */
static bool read_piece(struct process_output *output)
{
	ssize_t count;
	char *at;
	size_t asked = room_of(output, &at);

	if (asked == 0)
		return false;
	asked = asked < CHUNK_BYTES ? asked : CHUNK_BYTES;
	count = read(output->source.fd, at, asked);
	if (count > 0) {
		ring_put(&output->ring, (size_t)count); /* not negative */
		pace_took(&output->pace, (size_t)count, asked);
		return true;
	}
	/* EIO is how a terminal says that nobody holds its other side. Closing ours would hang up on a program that is about to end. */
	if (count < 0 && errno == EIO && !output->process->ended)
		output->let_go = true;
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		source_close(&output->source);
	return false;
}

/* Whether nothing that was printed before the end is still in the pipe; reads it as far as the readers let it. */
static bool drained(struct process_output *output)
{
	char *at;

	while (output->left_bytes > 0 && room_of(output, &at) > 0) {
		uint64_t before = output->ring.to;

		if (!read_piece(output))
			output->left_bytes = 0;
		output->left_bytes -= (int)(output->ring.to - before); /* at most a chunk */
	}
	return output->left_bytes <= 0 || output->source.fd < 0;
}

static void watch_output(struct process_output *output)
{
	bool writes = output->process->terminal && output->process->input_full && !output->let_go;
	char *at;
	bool reads = !output->pace.rests && room_of(output, &at) > 0;

	source_watch(&output->source, (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

static void rested(struct pace *pace)
{
	watch_output(owner_of(pace, struct process_output, pace));
}

void process_read_from(struct process *process)
{
	bool first, second;

	for (int i = 0; i < 2; i++)
		watch_output(&process->outputs[i]);
	if (!process->ended || process->over)
		return;
	first = drained(&process->outputs[0]);
	second = drained(&process->outputs[1]);
	process->over = first && second;
	/* Before it is over too: what was just read is theirs. */
	tell_readers(process);
}

static void output_ready(struct source *source, uint32_t events)
{
	struct process_output *output = owner_of(source, struct process_output, source);
	struct process *process = output->process;

	if ((events & EPOLLOUT) != 0) {
		process->input_full = false;
		tell_writers(process);
	}
	if ((events & ~(uint32_t)EPOLLOUT) != 0 && read_piece(output))
		tell_readers(process);
	process_read_from(process);
}

static void input_ready(struct source *source, uint32_t events)
{
	struct process *process = owner_of(source, struct process, input);

	(void)events; /* writing tells all */
	process->input_full = false;
	source_watch(source, 0);
	tell_writers(process);
}

static void forget(struct process *process)
{
	process->forgotten = true;
	ended_count--;
	process_count--;
}

/* The oldest that is over. False when there is none. */
static bool forget_oldest(void)
{
	struct process *oldest = NULL;

	for (struct process *each = processes; each != NULL; each = each->next)
		if (each->over && !each->forgotten)
			oldest = each;
	if (oldest != NULL)
		forget(oldest);
	return oldest != NULL;
}

static void reported(struct source *source, uint32_t events)
{
	struct process *process = owner_of(source, struct process, report);
	struct starter *starter = process->starter;
	int error;

	(void)events; /* only one kind is asked for */
	source_watch(source, 0);
	error = spawn_outcome(&source->fd);
	process->begun = error == 0;
	process->starter = NULL;
	/* It ends by itself, unless its user keeps it from that. */
	if (error != 0)
		kill(process->pid, SIGKILL);
	starter->begun(starter, error == 0 ? process : NULL, error);
}

static void exited(struct source *source, uint32_t events)
{
	struct process *process = owner_of(source, struct process, exit);

	(void)events; /* only one kind is asked for */
	if (process->starter != NULL)
		reported(&process->report, 0);
	process->exit_code = reap(process->pid, &process->signal);
	process->ended = true;
	process->ended_at = time(NULL);
	ended_count++;
	timer_stop(&process->deadline);
	source_close(source);
	source_close(&process->input);
	group_leave_if_empty(&process->group);
	tell_writers(process);
	process_read_from(process);
	if (!process->begun)
		forget(process);
}

static void deadline(struct timer *timer)
{
	struct process *process = owner_of(timer, struct process, deadline);

	process->timed_out = true;
	group_kill(&process->group, process->pid);
}

struct process *process_next(const struct process *process)
{
	struct process *next = process == NULL ? processes : process->next;

	while (next != NULL && (next->forgotten || !next->begun))
		next = next->next;
	return next;
}

struct process *process_find(pid_t pid)
{
	struct process *each = process_next(NULL);

	while (each != NULL && each->pid != pid)
		each = process_next(each);
	return each;
}

void process_add_reader(struct process *process, struct reader *reader)
{
	reader->next = process->readers;
	process->readers = reader;
}

void process_remove_reader(struct process *process, struct reader *reader)
{
	for (struct reader **at = &process->readers; *at != NULL; at = &(*at)->next) {
		if (*at == reader) {
			*at = reader->next;
			break;
		}
	}
	process_read_from(process);
}

/* Makes it known. */
static void adopt(struct process *process, const struct process_spec *spec, const struct pipes *pipes,
		  const struct child *child)
{
	process->terminal = spec->rows > 0;
	process->deadline.expired = deadline;
	process->exit = (struct source){ .fd = child->pidfd, .ready = exited };
	process->report = (struct source){ .fd = child->report_fd, .ready = reported };
	process->input = (struct source){ .fd = pipes->ours[0], .ready = input_ready };
	for (size_t i = 0; i < 2; i++) {
		struct process_output *output = &process->outputs[i];

		output->source = (struct source){ .fd = pipes->ours[i + 1], .ready = output_ready };
		output->process = process;
		pace_open(&output->pace, process->terminal ? TERMINAL_BYTES : CHUNK_BYTES, rested);
		output->left_bytes = DRAIN_BYTES;
	}
	process->next = processes;
	processes = process;
	process_count++;
	source_watch(&process->exit, EPOLLIN);
	source_watch(&process->report, EPOLLIN);
	process_read_from(process);
	if (spec->command->deadline_ms > 0)
		timer_start(&process->deadline, spec->command->deadline_ms);
}

static int launch(struct process *process, const struct process_spec *spec, struct pipes *pipes, struct child *child)
{
	const struct command *command = spec->command;
	struct launch wanted;
	int error = spec->rows > 0 ? pipes_open_terminal(pipes, spec->columns, spec->rows) :
				     pipes_open(pipes, spec->input);

	if (error != 0)
		return error;
	process->group = group_new();
	wanted = (struct launch){ .args = command->args, .env = &command->env, .cwd = command->cwd, .user = command->user,
				  .stdin_fd = pipes->theirs[0], .stdout_fd = pipes->theirs[1],
				  .stderr_fd = pipes->theirs[2], .passed_fd = -1,
				  .group_fd = process->group.fd, .terminal = spec->rows > 0 };
	error = spawn(&wanted, child);
	group_started(&process->group);
	pipes_close(pipes->theirs);
	if (error != 0) {
		pipes_close(pipes->ours);
		group_leave(&process->group);
	}
	return error;
}

static void free_rings(struct process *process)
{
	for (int i = 0; i < 2; i++)
		ring_free(&process->outputs[i].ring);
}

int process_start(const struct process_spec *spec, struct starter *starter)
{
	struct process *process, *before;
	struct pipes pipes;
	struct child child;
	int error;

	while ((ended_count > MAX_ENDED || rings_are_full() || process_count >= MAX_PROCESSES) && forget_oldest())
		;
	if (process_count >= MAX_PROCESSES)
		return -EAGAIN;
	process = calloc(1, sizeof *process);
	if (process == NULL)
		return -ENOMEM;
	/* A terminal has one output. */
	error = ring_open(&process->outputs[0].ring);
	if (error == 0 && spec->rows == 0)
		error = ring_open(&process->outputs[1].ring);
	if (error == 0)
		error = launch(process, spec, &pipes, &child);
	if (error != 0) {
		free_rings(process);
		free(process);
		return error;
	}
	process->pid = child.pid;
	process->starter = starter;
	/* The kernel gave the number of one that has ended to this one. */
	before = process_find(process->pid);
	if (before != NULL)
		forget(before);
	process->started_at = time(NULL);
	process->about = *spec->about;
	*spec->about = (struct text){ 0 };
	adopt(process, spec, &pipes, &child);
	return 0;
}

static void release(struct process *process)
{
	for (int i = 0; i < 2; i++) {
		int fd = process->outputs[i].source.fd;

		pace_close(&process->outputs[i].pace);
		source_watch(&process->outputs[i].source, 0);
		if (fd >= 0)
			leftover_adopt(fd);
	}
	free_rings(process);
	group_leave(&process->group);
	text_free(&process->about);
	free(process);
}

void processes_sweep(void)
{
	struct process **at = &processes;

	while (*at != NULL) {
		struct process *process = *at;

		if (!process->forgotten || process->holders > 0) {
			at = &process->next;
			continue;
		}
		*at = process->next;
		release(process);
	}
}
