#define _GNU_SOURCE
#include "aside.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "qmp.h"
#include "thread.h"

static void *run(void *arg)
{
	struct aside *aside = arg;
	uint64_t one = 1;

	aside->result = aside->work(aside->arg);
	/* The write publishes the result: a system call is a barrier on both sides. */
	while (write(aside->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

int aside_run(struct aside *aside, uint64_t deadline_ns)
{
	int error;

	aside->done_fd = eventfd(0, EFD_CLOEXEC);
	if (aside->done_fd < 0)
		return -errno;
	error = thread_start(&aside->thread, run, aside);
	if (error) {
		close(aside->done_fd);
		return error;
	}
	aside->begun = true;
	error = wait_readable(aside->done_fd, deadline_ns);
	return error ? error : aside->result;
}

void aside_end(struct aside *aside)
{
	if (!aside->begun)
		return;
	pthread_join(aside->thread, NULL);
	close(aside->done_fd);
	aside->begun = false;
}
