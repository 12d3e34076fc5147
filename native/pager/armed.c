#define _GNU_SOURCE
#include "armed.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "layer.h"
#include "thread.h"

/* Runs closer together than this are covered by one range; doubled while there are too many ranges. */
#define ARMED_FIRST_GAP_BYTES (64 * PAGE_BYTES)

static int copy_page(void *arg, size_t page)
{
	struct armed *armed = arg;
	uint64_t offset = page * PAGE_BYTES;

	return layer_write(armed->layer_fd, armed->ram->base + offset, PAGE_BYTES, offset);
}

static void release_pages(void *arg, size_t first_page, size_t page_count)
{
	struct armed *armed = arg;

	uint64_t start = (uintptr_t)armed->ram->base + first_page * PAGE_BYTES;

	/*
	 * Nothing is known to make it fail on a range this userfaultfd holds. A writer may be QEMU's main thread, inside
	 * the pause, so try again; if that fails too, unregistering at the end lifts everything.
	 */
	for (int tries = 0; tries < 3; tries++)
		if (uffd_writeprotect(armed->uffd, start, page_count * PAGE_BYTES, false) == 0)
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
		{.fd = armed->uffd, .events = POLLIN},
		{.fd = armed->stop_fd, .events = POLLIN},
	};
	uint64_t addresses[32];

	for (;;) {
		int count = uffd_read_faults(armed->uffd, addresses, 32);
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
	int error;

	*armed = (struct armed){.ram = ram, .tracker = tracker, .layer_fd = layer_fd, .uffd = -1};
	armed->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (armed->stop_fd < 0)
		return -errno;
	error = sweep_init(&armed->sweep, ram->bytes / PAGE_BYTES, port);
	if (error) {
		close(armed->stop_fd);
		armed->stop_fd = -1;
	}
	return error;
}

static void end_fault_thread(struct armed *armed)
{
	uint64_t one = 1;

	while (write(armed->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(armed->fault_thread, NULL);
}

/* Runs that lie closer together than gap become one range; false when there is no room for the ranges. */
static bool join_runs(struct armed *armed, const struct page_run *runs, size_t run_count, uint64_t gap, size_t *range_count)
{
	struct page_run *last = NULL;
	size_t count = 0;

	for (size_t i = 0; i < run_count; i++) {
		if (last && runs[i].start - last->end <= gap) {
			last->end = runs[i].end;
			continue;
		}
		if (count == ARMED_MAX_RANGES)
			return false;
		last = &armed->ranges[count++];
		*last = runs[i];
	}
	*range_count = count;
	return true;
}

/* Puts ranges that cover the runs under synchronous tracking. */
static int borrow_ranges(struct armed *armed, const struct page_run *runs, size_t run_count, const struct window *pause)
{
	uint64_t gap = ARMED_FIRST_GAP_BYTES;
	size_t count;
	int error = 0;

	while (!join_runs(armed, runs, run_count, gap, &count))
		gap *= 2;
	while (armed->range_count < count && !error) {
		struct page_run *range = &armed->ranges[armed->range_count];

		error = window_expired(pause) ? -ETIMEDOUT : tracker_lend(armed->tracker, range);
		if (error)
			break;
		armed->range_count++;
		error = uffd_register_wp(armed->uffd, range->start, range->end - range->start);
	}
	return error;
}

/* Lifts whatever protection is left, wakes whoever still waits, and gives the ranges back. */
static void return_ranges(struct armed *armed)
{
	bool returned = true;

	for (size_t i = 0; i < armed->range_count; i++)
		uffd_unregister(armed->uffd, armed->ranges[i].start, armed->ranges[i].end - armed->ranges[i].start);
	close(armed->uffd);
	armed->uffd = -1;
	for (size_t i = 0; i < armed->range_count; i++)
		if (tracker_take_back(armed->tracker, &armed->ranges[i]) < 0)
			returned = false;
	armed->range_count = 0;
	/* Tracking with a gap would miss writes: the next branch starts it anew. */
	if (!returned)
		tracker_stop(armed->tracker);
}

int armed_begin(struct armed *armed, const struct page_run *runs, size_t run_count, const struct window *pause)
{
	int error = uffd_open(TRACKING_SYNC, &armed->uffd);

	if (error)
		return error;
	error = borrow_ranges(armed, runs, run_count, pause);
	if (error)
		goto fail_ranges;
	error = thread_start(&armed->fault_thread, serve_faults, armed);
	if (error)
		goto fail_ranges;
	for (size_t i = 0; i < run_count; i++) {
		size_t bytes = runs[i].end - runs[i].start;

		sweep_add(&armed->sweep, (runs[i].start - (uintptr_t)armed->ram->base) / PAGE_BYTES, bytes / PAGE_BYTES);
		armed->page_count += bytes / PAGE_BYTES;
		error = window_expired(pause) ? -ETIMEDOUT : uffd_writeprotect(armed->uffd, runs[i].start, bytes, true);
		if (error)
			goto fail_thread;
	}
	armed->begun = true;
	return 0;

fail_thread:
	end_fault_thread(armed);
fail_ranges:
	return_ranges(armed);
	return error;
}

int armed_finish(struct armed *armed)
{
	if (!armed->begun)
		return 0;
	armed->begun = false;
	sweep_run(&armed->sweep);
	end_fault_thread(armed);
	return_ranges(armed);
	return sweep_error(&armed->sweep);
}

void armed_destroy(struct armed *armed)
{
	armed_finish(armed);
	sweep_destroy(&armed->sweep);
	close(armed->stop_fd);
}
