/*
 * tracker.h - knowing what the guest writes: one asynchronous userfaultfd over all of RAM.
 *
 * The kernel notes writes to what a scan armed, and lets them pass. Registered by the first live branch, it stays between
 * branches; a child that never branches registers none, which keeps the kernel's fault-around for its layers.
 *
 * A range can belong to one userfaultfd only: an armed residue borrows its ranges, and brings them back.
 */
#ifndef BOUGH_TRACKER_H
#define BOUGH_TRACKER_H

#include <stdbool.h>

#include "kernel.h"
#include "ram.h"

struct tracker {
	const struct ram *ram;
	int uffd;
	bool on;
};

/* Puts RAM under tracking, if it is not already; nothing is armed yet. */
int tracker_start(struct tracker *tracker, const struct ram *ram);

/* Lifts tracking, and all that is armed. */
void tracker_stop(struct tracker *tracker);

/* Takes a range out of tracking, whatever is armed in it lifted, and puts it back. Nothing to do when tracking is off. */
int tracker_lend(struct tracker *tracker, const struct page_run *range);
int tracker_take_back(struct tracker *tracker, const struct page_run *range);

#endif
