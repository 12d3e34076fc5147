/*
 * armed.h - the part of the residue that is dearer to copy in a pause than to protect: saved after the guest runs again.
 *
 * armed_begin() runs inside the pause window: it puts that part under synchronous tracking, starts the fault thread
 * and protects it, so that from the first instruction on every write waits until its page is in the layer.
 * armed_finish() is the sweep. The fault thread is a thread of its own because the vCPUs and QEMU's main thread write
 * as soon as the guest runs again, while the control thread still waits for QEMU's answer, and then sweeps.
 *
 * Arming costs by the stretch of memory, copying by the page. A range is put under synchronous tracking by lifting the
 * asynchronous one of all of it, page by page, and by cutting mappings; so only ranges are taken that are full enough of
 * residue, and what lies scattered is left to the caller. See docs/decisions/0013-a-scattered-residue-is-copied.md.
 *
 * A page of a range that is not of the residue is protected too, and let go when it is written: one call protects a range.
 */
#ifndef BOUGH_ARMED_H
#define BOUGH_ARMED_H

#include <pthread.h>

#include "ram.h"
#include "sweep.h"
#include "tracker.h"
#include "window.h"

/* Each range is up to three mappings, which count against vm.max_map_count. */
#define ARMED_MAX_RANGES 256

struct armed {
	struct sweep sweep;
	struct ram *ram;
	struct tracker *tracker;
	int layer_fd;
	int uffd;    /* synchronous; -1 without */
	int stop_fd; /* eventfd that ends the fault thread */
	pthread_t fault_thread;
	bool begun;
	_Atomic int fault_error; /* why the fault thread gave up; 0 while it serves */
	size_t page_count;
	struct page_run ranges[ARMED_MAX_RANGES];
	size_t range_count; /* of those, how many are ours now */
};

/* Reserves what armed_begin() needs, so that the pause allocates nothing large. */
int armed_prepare(struct armed *armed, struct ram *ram, struct tracker *tracker, int layer_fd);

/*
 * Inside the pause: protects what is worth it of the runs (host addresses, in order), and takes that out of them. On failure
 * (-EPERM without the privilege synchronous tracking needs) nothing is protected and the runs are as they were. Either way
 * what is left in them is the caller's to copy while the pause lasts; -ETIMEDOUT is the window's deadline.
 */
int armed_begin(struct armed *armed, struct page_run *runs, size_t *run_count, const struct window *pause);

/* Guest running: saves what is left, ends the fault thread, gives the ranges back. 0 or the first error of a copy. */
int armed_finish(struct armed *armed);

/* Of a capture that is not finished nothing more is saved: whoever waits for a page is let go at once. */
void armed_destroy(struct armed *armed);

#endif
