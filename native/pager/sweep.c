#include "sweep.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum { OUTSIDE, FREE, COPYING, DONE };

/* Pages whose protection the sweep lifts in one go: a system call each, against writers kept waiting. */
#define RELEASE_BATCH_PAGES 64

int sweep_init(struct sweep *sweep, size_t page_count, struct sweep_port port)
{
	*sweep = (struct sweep){.page_count = page_count, .port = port};
	sweep->states = calloc(page_count, sizeof(*sweep->states)); /* all OUTSIDE */
	return sweep->states ? 0 : -ENOMEM;
}

void sweep_destroy(struct sweep *sweep)
{
	free((void *)sweep->states); /* drops _Atomic: nobody else is left */
	sweep->states = NULL;
}

void sweep_add(struct sweep *sweep, size_t first_page, size_t page_count)
{
	for (size_t page = first_page; page < first_page + page_count; page++)
		atomic_store_explicit(&sweep->states[page], FREE, memory_order_relaxed);
	/* The store that publishes them is the protection itself: nobody faults on a page before it. */
	atomic_thread_fence(memory_order_release);
}

static bool claim(struct sweep *sweep, size_t page)
{
	uint8_t expected = FREE;
	return atomic_compare_exchange_strong(&sweep->states[page], &expected, COPYING);
}

static void copy_claimed(struct sweep *sweep, size_t page)
{
	int error = sweep->port.copy(sweep->port.arg, page);
	int none = 0;

	if (error)
		atomic_compare_exchange_strong(&sweep->error, &none, error);
	/* Release: the bytes are read before anyone may lift the protection. */
	atomic_store_explicit(&sweep->states[page], DONE, memory_order_release);
}

void sweep_fault(struct sweep *sweep, size_t page)
{
	if (claim(sweep, page)) {
		atomic_fetch_add(&sweep->fault_count, 1);
		copy_claimed(sweep, page);
	}
	while (atomic_load_explicit(&sweep->states[page], memory_order_acquire) == COPYING)
		sweep->port.relax(sweep->port.arg);
	sweep->port.release(sweep->port.arg, page, 1);
}

static void release_run(struct sweep *sweep, size_t first_page, size_t end_page)
{
	if (first_page < end_page)
		sweep->port.release(sweep->port.arg, first_page, end_page - first_page);
}

void sweep_run(struct sweep *sweep)
{
	size_t unreleased = 0; /* [unreleased, page) are done by us and still protected */

	for (size_t page = 0; page < sweep->page_count; page++) {
		if (claim(sweep, page)) {
			copy_claimed(sweep, page);
			if (page + 1 - unreleased < RELEASE_BATCH_PAGES)
				continue;
			release_run(sweep, unreleased, page + 1);
		} else {
			release_run(sweep, unreleased, page);
			/* A page the fault path is copying is its to release, but the sweep ends only after it. */
			while (atomic_load_explicit(&sweep->states[page], memory_order_acquire) == COPYING)
				sweep->port.relax(sweep->port.arg);
		}
		unreleased = page + 1;
	}
	release_run(sweep, unreleased, sweep->page_count);
}

int sweep_error(struct sweep *sweep)
{
	return atomic_load(&sweep->error);
}
