#include <errno.h>
#include <signal.h>

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
