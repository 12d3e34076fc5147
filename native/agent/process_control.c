#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pipes.h"
#include "process.h"

void process_add_writer(struct process *process, struct writer *writer)
{
	writer->next = process->writers;
	process->writers = writer;
}

void process_remove_writer(struct process *process, struct writer *writer)
{
	for (struct writer **at = &process->writers; *at != NULL; at = &(*at)->next) {
		if (*at == writer) {
			*at = writer->next;
			break;
		}
	}
}

int process_signal(struct process *process, int number)
{
	if (number == SIGKILL && (!process->ended || process->group.number != 0)) {
		group_kill(&process->group, process->ended ? 0 : process->pid);
		return 0;
	}
	if (process->ended)
		return -ESRCH;
	return kill(-process->pid, number) == 0 ? 0 : -errno;
}

int process_resize(struct process *process, unsigned columns, unsigned rows)
{
	if (!process->terminal || process->outputs[0].source.fd < 0)
		return -ENOTTY;
	return terminal_resize(process->outputs[0].source.fd, columns, rows);
}

static int input_fd(const struct process *process)
{
	return process->terminal ? process->outputs[0].source.fd : process->input.fd;
}

bool process_takes_input(const struct process *process)
{
	return !process->ended && !process->input_ended && input_fd(process) >= 0;
}

ssize_t process_write(struct process *process, const char *bytes, size_t length)
{
	ssize_t count;

	if (!process_takes_input(process))
		return -EPIPE;
	count = write(input_fd(process), bytes, length);
	if (count >= 0) {
		process->input_bytes += (uint64_t)count; /* not negative */
		return count;
	}
	/* EIO is how a terminal says that nobody holds its other side. */
	if (errno == EPIPE || errno == EIO) {
		source_close(&process->input);
		return -EPIPE;
	}
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	process->input_full = true;
	if (process->terminal)
		process_read_from(process);
	else
		source_watch(&process->input, EPOLLOUT);
	return 0;
}

void process_end_input(struct process *process)
{
	/* What a terminal takes for the end of its input at the beginning of a line. */
	if (process->terminal && process_write(process, "\4", 1) == 1)
		return;
	process->input_ended = true;
	source_close(&process->input);
}
