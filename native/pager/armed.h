/*
 * armed.h - the residue too big to copy in a pause: protected inside it, saved after the guest runs again.
 *
 * armed_begin() runs inside the pause window: it puts the residue under synchronous tracking, starts the fault thread
 * and protects the residue, so that from the first instruction on every write waits until its page is in the layer.
 * armed_finish() is the sweep. The fault thread is a thread of its own because QEMU's main thread itself writes
 * guest memory while it saves the devices, and because the control thread is waiting for QEMU then.
 *
 * The ranges put under synchronous tracking cover the residue and little else: lifting the asynchronous tracking of a
 * page costs the pause as much as anything, so it is to follow what was written and not what RAM holds.
 */
#ifndef BOUGH_ARMED_H
#define BOUGH_ARMED_H

#include <pthread.h>

#include "ram.h"
#include "sweep.h"
#include "tracker.h"
#include "window.h"

/* Each range is up to three mappings; many small ones would cost more than the pages between them. */
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
	size_t page_count;
	struct page_run ranges[ARMED_MAX_RANGES];
	size_t range_count; /* of those, how many are ours now */
};

/* Reserves what armed_begin() needs, so that the pause allocates nothing large. */
int armed_prepare(struct armed *armed, struct ram *ram, struct tracker *tracker, int layer_fd);

/*
 * Inside the pause: protects the runs (host addresses, in order). On failure (-EPERM without the privilege synchronous
 * tracking needs) nothing is protected, and the caller still has the pause to copy in; but for -ETIMEDOUT, the window's deadline.
 */
int armed_begin(struct armed *armed, const struct page_run *runs, size_t run_count, const struct window *pause);

/* Guest running: saves what is left, ends the fault thread, gives the ranges back. 0 or the first error of a copy. */
int armed_finish(struct armed *armed);

void armed_destroy(struct armed *armed);

#endif
