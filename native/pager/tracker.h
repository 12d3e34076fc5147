/*
 * tracker.h - knowing what the guest writes: one userfaultfd over all of RAM, of one kind at a time.
 *
 * Asynchronous tracking serves the pre-copy (the kernel notes writes), synchronous tracking the armed residue (a
 * writer waits for us). A range can belong to one userfaultfd only, so the kinds take turns. The asynchronous one
 * stays registered between branches; a child that never branches registers none, which keeps the kernel's
 * fault-around for its layers.
 */
#ifndef BOUGH_TRACKER_H
#define BOUGH_TRACKER_H

#include "kernel.h"
#include "ram.h"

struct tracker {
	enum tracking kind; /* what is registered now */
	int uffd;
};

/* Puts RAM under tracking of this kind; nothing is protected yet. TRACKING_NONE lifts it, and all protection. */
int tracker_switch(struct tracker *tracker, const struct ram *ram, enum tracking kind);

#endif
