#define _GNU_SOURCE
#include "armed.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "layer.h"

static int copy_page(void *arg, size_t page)
{
	struct armed *armed = arg;
	uint64_t offset = page * PAGE_BYTES;

	return layer_write(armed->layer_fd, armed->ram->base + offset, PAGE_BYTES, offset);
}

static void release_pages(void *arg, size_t first_page, size_t page_count)
{
	struct armed *armed = arg;

	uint8_t *start = armed->ram->base + first_page * PAGE_BYTES;

	/*
	 * Nothing is known to make it fail on a range this userfaultfd holds. A writer may be QEMU's main thread, inside
	 * the pause, so try again; if that fails too, unregistering at the end lifts everything.
	 */
	for (int tries = 0; tries < 3; tries++)
		if (uffd_writeprotect(armed->tracker->uffd, start, page_count * PAGE_BYTES, false) == 0)
			return;
}

static void yield_cpu(void *arg)
{
	(void)arg;
	sched_yield();
}

static void *serve_faults(void *arg)
{
	struct armed *armed = arg;
	struct pollfd fds[2] = {
		{.fd = armed->tracker->uffd, .events = POLLIN},
		{.fd = armed->stop_fd, .events = POLLIN},
	};
	uint64_t addresses[32];

	for (;;) {
		int count = uffd_read_faults(armed->tracker->uffd, addresses, 32);
		for (int i = 0; i < count; i++)
			sweep_fault(&armed->sweep, (addresses[i] - (uintptr_t)armed->ram->base) / PAGE_BYTES);
		if (count > 0)
			continue;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
	}
}

int armed_prepare(struct armed *armed, struct ram *ram, struct tracker *tracker, int layer_fd)
{
	struct sweep_port port = {.copy = copy_page, .release = release_pages, .relax = yield_cpu, .arg = armed};

	*armed = (struct armed){.ram = ram, .tracker = tracker, .layer_fd = layer_fd};
	armed->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (armed->stop_fd < 0)
		return -errno;
	int error = sweep_init(&armed->sweep, ram->bytes / PAGE_BYTES, port);
	if (error) {
		close(armed->stop_fd);
		armed->stop_fd = -1;
	}
	return error;
}

static int start_fault_thread(struct armed *armed)
{
	sigset_t all, before;
	int error;

	/* QEMU's signals are for QEMU's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&armed->fault_thread, NULL, serve_faults, armed);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

static void end_fault_thread(struct armed *armed)
{
	uint64_t one = 1;

	while (write(armed->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(armed->fault_thread, NULL);
}

int armed_begin(struct armed *armed, const struct page_run *runs, size_t run_count)
{
	int error = tracker_switch(armed->tracker, armed->ram, TRACKING_SYNC);

	if (error)
		return error;
	error = start_fault_thread(armed);
	if (error)
		goto fail_tracking;
	for (size_t i = 0; i < run_count; i++) {
		size_t bytes = runs[i].end - runs[i].start;
		uint8_t *start = (uint8_t *)runs[i].start; /* a run of RAM, as the kernel reported it */

		sweep_add(&armed->sweep, (size_t)(start - armed->ram->base) / PAGE_BYTES, bytes / PAGE_BYTES);
		armed->page_count += bytes / PAGE_BYTES;
		error = uffd_writeprotect(armed->tracker->uffd, start, bytes, true);
		if (error)
			goto fail_thread;
	}
	armed->begun = true;
	return 0;

fail_thread:
	end_fault_thread(armed);
fail_tracking:
	tracker_switch(armed->tracker, armed->ram, TRACKING_NONE);
	return error;
}

int armed_finish(struct armed *armed)
{
	if (!armed->begun)
		return 0;
	armed->begun = false;
	sweep_run(&armed->sweep);
	end_fault_thread(armed);
	/* Lifts whatever protection is left and wakes whoever still waits. */
	int error = tracker_switch(armed->tracker, armed->ram, TRACKING_NONE);
	return sweep_error(&armed->sweep) ? sweep_error(&armed->sweep) : error;
}

void armed_destroy(struct armed *armed)
{
	armed_finish(armed);
	sweep_destroy(&armed->sweep);
	close(armed->stop_fd);
}
