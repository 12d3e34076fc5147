/*
 * sweep.h - copying pages of a stopped instant while their owner runs on: the page state machine.
 *
 * Pages of the capture are write-protected. Two parties copy them: the sweep, in order, and the fault path, for
 * whichever page is written to before its turn. Each page is claimed by exactly one of them:
 *
 *      outside   not part of this capture
 *      free  --claim-->  copying  --bytes are in the sink-->  done
 *
 * Invariants: protection is lifted only from a page that is done, so no byte of the instant is lost; a page is
 * copied once, so a late copy can never overwrite it with a newer byte; the fault path waits at most for the copy
 * of its own page, never for the sweep. When a copy fails the capture has failed (sweep_error()), but every page
 * still reaches done: whoever waits for a page is let go, whatever happens to the capture.
 *
 * Source, sink and protection are the port's: this file knows nothing of kernels, files or threads.
 */
#ifndef BOUGH_SWEEP_H
#define BOUGH_SWEEP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sweep_port {
	/* Copies one page from the source to the sink. */
	int (*copy)(void *arg, size_t page);
	/* Lifts the protection of done pages and wakes their writers; lifting it twice is harmless. */
	void (*release)(void *arg, size_t first_page, size_t page_count);
	/* Called while another party copies the page that is waited for. */
	void (*relax)(void *arg);
	void *arg;
};

struct sweep {
	_Atomic uint8_t *states;
	size_t page_count;
	struct sweep_port port;
	_Atomic int error;
	_Atomic size_t fault_count;
};

int sweep_init(struct sweep *sweep, size_t page_count, struct sweep_port port);
void sweep_destroy(struct sweep *sweep);

/* Makes pages part of the capture. Before their protection, and before sweep_run() or sweep_fault(). */
void sweep_add(struct sweep *sweep, size_t first_page, size_t page_count);

/* A write to a protected page is waiting: returns once it may go on. */
void sweep_fault(struct sweep *sweep, size_t page);

/* Copies and releases every page that is left. Returns when all are done. */
void sweep_run(struct sweep *sweep);

/* 0, or the first error of a copy as -errno. */
int sweep_error(struct sweep *sweep);

#endif
