/*
 * tracker.h - knowing what the guest writes: one asynchronous userfaultfd over all of RAM.
 *
 * The kernel notes writes to what a scan armed, and lets them pass. Registered by the first live branch, it stays between
 * branches; a child that never branches registers none, which keeps the kernel's fault-around for its layers.
 *
 * A range can belong to one userfaultfd only: an armed residue borrows its ranges, and brings them back.
 *
 * What is armed outlives the branch that armed it. After one that succeeded, a page that is armed still holds what that branch's
 * snapshot holds; so the next one finds all that changed since among the pages that are not, and need not look at the others. The
 * tracker remembers which branch that was, by the name it was given. A branch that begins arms pages and copies them into files
 * that may come to nothing: from then on, until it has succeeded, none is remembered.
 *
 *      unknown --a tracked branch succeeds--> known by its name --any branch begins--> unknown
 *
 * A page is unarmed by whatever happens to it: it is written, lent, mapped anew. So what is lost makes the next capture larger,
 * never smaller.
 */
#ifndef BOUGH_TRACKER_H
#define BOUGH_TRACKER_H

#include <stdbool.h>

#include "kernel.h"
#include "ram.h"

#define TRACKER_NAME_BYTES 128

struct tracker {
	const struct ram *ram;
	int uffd;
	bool on;
	char known[TRACKER_NAME_BYTES]; /* the branch whose snapshot holds all that is armed; empty: none */
};

/* Puts RAM under tracking, if it is not already; nothing is armed yet. */
int tracker_start(struct tracker *tracker, const struct ram *ram);

/* Lifts tracking, and all that is armed. */
void tracker_stop(struct tracker *tracker);

/* Whether what is armed is just what the branch of that name captured. */
bool tracker_knows(const struct tracker *tracker, const char *name);
void tracker_forget(struct tracker *tracker);
/* A branch has succeeded; NULL or a name too long to remember: as tracker_forget(). */
void tracker_remember(struct tracker *tracker, const char *name);

/* Takes a range out of tracking, whatever is armed in it lifted, and puts it back. Nothing to do when tracking is off. */
int tracker_lend(struct tracker *tracker, const struct page_run *range);
int tracker_take_back(struct tracker *tracker, const struct page_run *range);

#endif
