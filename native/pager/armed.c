#define _GNU_SOURCE
#include "armed.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "layer.h"
#include "thread.h"

/* Runs closer together than this are looked at as one range: cutting a mapping costs as much as protecting 64 pages. */
#define JOIN_GAP_BYTES (64 * PAGE_BYTES)
/* What a range costs, in pages copied: its mappings and calls, and a page of it that is lifted and protected. */
#define RANGE_COST_PAGES 40
#define STRETCH_PAGES_PER_COPY 3

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

/*
 * Without this thread a writer would wait for ever. So it leaves nothing protected behind: the pages that are not saved yet
 * may change from here on, and the capture has failed.
 */
static void give_up(struct armed *armed, int error)
{
	armed->fault_error = error; /* before the protection is lifted: see armed_begin() */
	for (size_t i = 0; i < armed->range_count; i++)
		uffd_writeprotect(armed->uffd, armed->ranges[i].start, armed->ranges[i].end - armed->ranges[i].start, false);
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
		if (count == 0 && poll(fds, 2, -1) < 0)
			count = errno == EINTR ? 0 : -errno;
		else if (count == 0 && fds[0].revents & ~POLLIN)
			count = -EIO;
		if (count < 0)
			give_up(armed, count);
		if (count < 0 || fds[1].revents)
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

/* A range of runs that lie near each other: [first, end) of them. */
struct group {
	size_t first, end;
	size_t page_count;
};

static size_t pages_of(const struct page_run *run)
{
	return (run->end - run->start) / PAGE_BYTES;
}

/* Whether protecting the gap as well costs less than copying the run: scattered pages are not to drag what lies together out of arming. */
static bool pays_to_join(const struct page_run *previous, const struct page_run *run)
{
	size_t stretch_pages = (run->end - previous->end) / PAGE_BYTES;

	return run->start - previous->end <= JOIN_GAP_BYTES && pages_of(run) > stretch_pages / STRETCH_PAGES_PER_COPY;
}

static struct group next_group(const struct page_run *runs, size_t run_count, size_t first)
{
	struct group group = {.first = first, .end = first};

	do
		group.page_count += pages_of(&runs[group.end++]);
	while (group.end < run_count && pays_to_join(&runs[group.end - 1], &runs[group.end]));
	return group;
}

static bool is_worth_arming(const struct page_run *runs, const struct group *group)
{
	size_t stretch_pages = (runs[group->end - 1].end - runs[group->first].start) / PAGE_BYTES;

	return group->page_count > RANGE_COST_PAGES + stretch_pages / STRETCH_PAGES_PER_COPY;
}

static void add_to_sweep(struct armed *armed, const struct page_run *runs, const struct group *group)
{
	for (size_t i = group->first; i < group->end; i++)
		sweep_add(&armed->sweep, (runs[i].start - (uintptr_t)armed->ram->base) / PAGE_BYTES, pages_of(&runs[i]));
	armed->page_count += group->page_count;
}

/* Sizes that are less than a factor of two apart are one class. */
static size_t size_class(const struct group *group)
{
	return (size_t)(63 - __builtin_clzl(group->page_count)); /* a group has a page at least */
}

/* Which groups are taken when not all can be: those above a class of size, and of that class as many as there is room for. */
struct cut {
	size_t size_class;
	size_t room;
};

static struct cut cut_at_most(const struct page_run *runs, size_t run_count)
{
	size_t counts[64] = {0};
	struct cut cut = {.size_class = 63, .room = ARMED_MAX_RANGES};

	for (size_t first = 0; first < run_count;) {
		struct group group = next_group(runs, run_count, first);

		first = group.end;
		counts[size_class(&group)] += is_worth_arming(runs, &group);
	}
	while (cut.size_class > 0 && counts[cut.size_class] <= cut.room)
		cut.room -= counts[cut.size_class--];
	return cut;
}

static bool is_taken(struct cut *cut, const struct group *group)
{
	size_t class = size_class(group);

	if (class != cut->size_class)
		return class > cut->size_class;
	return cut->room > 0 && cut->room--;
}

/* Chooses the ranges, the largest if there are too many, and makes their part of the residue the sweep's; how many there are. */
static size_t choose_ranges(struct armed *armed, const struct page_run *runs, size_t run_count)
{
	struct cut cut = cut_at_most(runs, run_count);
	size_t count = 0;

	for (size_t first = 0; first < run_count;) {
		struct group group = next_group(runs, run_count, first);

		first = group.end;
		if (!is_worth_arming(runs, &group) || !is_taken(&cut, &group))
			continue;
		armed->ranges[count++] = (struct page_run){.start = runs[group.first].start, .end = runs[group.end - 1].end};
		add_to_sweep(armed, runs, &group);
	}
	return count;
}

/* Leaves the runs that lie in no range of ours; both are in order. */
static size_t take_out(const struct armed *armed, struct page_run *runs, size_t run_count)
{
	size_t left = 0, range = 0;

	for (size_t i = 0; i < run_count; i++) {
		while (range < armed->range_count && armed->ranges[range].end <= runs[i].start)
			range++;
		if (range == armed->range_count || runs[i].start < armed->ranges[range].start)
			runs[left++] = runs[i];
	}
	return left;
}

/* Puts the chosen ranges under synchronous tracking. */
static int borrow_ranges(struct armed *armed, size_t count, const struct window *pause)
{
	int error = 0;

	while (armed->range_count < count && !error) {
		struct page_run *range = &armed->ranges[armed->range_count];

		if (window_expired(pause))
			return -ETIMEDOUT;
		/* One that fails may have been lent in part, and is to be taken back like the others. */
		armed->range_count++;
		error = tracker_lend(armed->tracker, range);
		if (!error)
			error = uffd_register_wp(armed->uffd, range->start, range->end - range->start);
	}
	return error;
}

static int protect_ranges(struct armed *armed, const struct window *pause)
{
	int error = 0;

	for (size_t i = 0; i < armed->range_count && !error; i++) {
		const struct page_run *range = &armed->ranges[i];

		error = window_expired(pause)
				? -ETIMEDOUT
				: uffd_writeprotect(armed->uffd, range->start, range->end - range->start, true);
	}
	/* A fault thread that gave up before the last range was protected has not lifted that one. */
	return error ? error : armed->fault_error;
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

int armed_begin(struct armed *armed, struct page_run *runs, size_t *run_count, const struct window *pause)
{
	size_t chosen = choose_ranges(armed, runs, *run_count);
	int error;

	if (chosen == 0)
		return 0;
	error = uffd_open(TRACKING_SYNC, &armed->uffd);
	if (error)
		return error;
	error = borrow_ranges(armed, chosen, pause);
	if (error)
		goto fail_ranges;
	error = thread_start(&armed->fault_thread, serve_faults, armed);
	if (error)
		goto fail_ranges;
	error = protect_ranges(armed, pause);
	if (error)
		goto fail_thread;
	armed->begun = true;
	*run_count = take_out(armed, runs, *run_count);
	return 0;

fail_thread:
	end_fault_thread(armed);
fail_ranges:
	return_ranges(armed);
	return error;
}

int armed_finish(struct armed *armed)
{
	int error;

	if (!armed->begun)
		return 0;
	armed->begun = false;
	sweep_run(&armed->sweep);
	end_fault_thread(armed);
	return_ranges(armed);
	error = sweep_error(&armed->sweep);
	return error ? error : armed->fault_error;
}

void armed_destroy(struct armed *armed)
{
	if (armed->begun) {
		end_fault_thread(armed);
		return_ranges(armed);
	}
	sweep_destroy(&armed->sweep);
	close(armed->stop_fd);
}
