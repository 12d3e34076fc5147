/*
 * window.h - the pause window: the time in which the source's vCPUs stand still.
 *
 * QEMU's xen-save-devices-state stops a running VM, opens a file, saves the devices into it and runs the VM again,
 * all in one command and whatever fails in between. window_run() sends it, and the interposed open() of that one
 * file (preload.c) runs the body: QEMU's main thread, vCPUs stopped, block layer drained and flushed.
 *
 *      idle --window_run()--> armed --open()--> inside --body returns--> idle
 *                               '--deadline--> idle: an open() of the missed file fails, and QEMU runs the VM again
 *
 * A window that is to have a command of its own run while the vCPUs stand still sends four: stop, that command, the save, cont.
 * They go out in one piece, and QEMU runs each whatever became of those before; so the last is sure to be run, and
 * window_run() returns only after it.
 *
 * Invariant: no path leaves the VM stopped. The body's error becomes the open's error, on which QEMU resumes; a
 * body that outlives the deadline is told so by window_expired() and must return.
 *
 * Not handled: a VM that somebody else stops while a window with a command of its own is under way: it is run again.
 */
#ifndef BOUGH_WINDOW_H
#define BOUGH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "qmp.h"

struct window {
	const char *state_path; /* the device state file QEMU is to write */
	uint64_t deadline_ns;
	int (*approach)(void *arg); /* guest running, all of the command sent but its last byte; NULL: nothing to do */
	int (*body)(void *arg);
	void *arg;
	const char *when_stopped; /* the members of a QMP command to be run in the pause, before the file is opened; NULL: none */
	/* Results, CLOCK_MONOTONIC: command sent, body entered and left, reply read. The guest stops after the first
	 * and runs before the last, so their difference bounds the pause from above. */
	uint64_t sent_ns;
	uint64_t entered_ns;
	uint64_t left_ns;
	uint64_t replied_ns;
	bool when_stopped_failed;
	/* Between QEMU's own STOP and RESUME events; 0 when it did not tell. The first comes after the vCPUs have stopped, the
	 * second before they run: it bounds the pause from below. */
	uint64_t events_us;
};

/*
 * Runs the window. The error of the approach or the body, or why QEMU could not run it: -ENOTCONN when it never opened the
 * file. After an error of the approach QEMU holds half a command: the connection is of no more use.
 */
int window_run(struct window *window, struct qmp *qmp);

/* True when the deadline of the window that runs has passed. */
bool window_expired(const struct window *window);

/* Called on every open() of the process: 0, or the errno (negative) this open must fail with. */
int window_on_open(const char *path);

#endif
