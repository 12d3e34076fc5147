/*
 * window.h - the pause window: the time in which the source's vCPUs stand still.
 *
 * QEMU's xen-save-devices-state stops a running VM, opens a file, saves the devices into it, closes it and runs the
 * VM again, all in one command and whatever fails in between. window_run() sends it, or what is left of it after window_begin(). At
 * the interposed open() of that one file (preload.c) the vCPUs stand still and the block layer is drained and flushed: window_run(), which waits for the answer,
 * is told to run the body, while QEMU's main thread saves the devices. The interposed close() holds that until the body has
 * returned, or runs it if nobody has begun it yet: on a busy host a thread may wait for a processor longer than the save takes.
 *
 *      idle --window_run()--> armed --open()--> opened --> inside --body returns--> left --close()--> closed --reply--> idle
 *                               '--deadline--> idle: an open() of the missed file fails, and QEMU runs the VM again
 *
 * QEMU writes no guest memory while it saves its devices: what it has to write it has written when the VM has stopped.
 *
 * A window that is to have a command of its own run while the vCPUs stand still sends four: stop, that command, the save, cont.
 * They go out in one piece, and QEMU runs each whatever became of those before; so the last is sure to be run, and
 * window_run() returns only after it.
 *
 * Invariants: no path leaves the VM stopped. QEMU runs it again whatever became of the file, and after a body that failed
 * as well; a body that outlives the deadline is told so by window_expired() and must return. And a window has gone well
 * only when the close() was held until the body had returned: a save that fails before it runs the VM again while the body
 * is still under way, and a QEMU that closes the file out of our sight would too.
 *
 * Not handled: a VM that somebody else stops while a window with a command of its own is under way: it is run again.
 */
#ifndef BOUGH_WINDOW_H
#define BOUGH_WINDOW_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "qmp.h"

struct window {
	const char *state_path; /* the device state file QEMU is to write; shorter than PATH_MAX */
	uint64_t deadline_ns;
	int (*approach)(void *arg); /* guest running, all of the command sent but its last byte; NULL: nothing to do */
	int (*body)(void *arg);
	void *arg;
	const char *when_stopped; /* the members of a QMP command to be run in the pause, before the file is opened; NULL: none */
	/* Results, CLOCK_MONOTONIC: command sent, file opened, reply read. The guest stops after the first
	 * and runs before the last, so their difference bounds the pause from above. */
	uint64_t sent_ns;
	uint64_t entered_ns;
	uint64_t replied_ns;
	bool when_stopped_failed;
	/* Between QEMU's own STOP and RESUME events; 0 when it did not tell. The first comes after the vCPUs have stopped, the
	 * second before they run: it bounds the pause from below. */
	uint64_t events_us;
};

/* Has QEMU read all but the last byte of what the next window_run() on this connection sends, if that has no command of its own. */
int window_begin(struct qmp *qmp, uint64_t deadline_ns);

/*
 * Runs the window. The error of the approach or the body, or why QEMU could not run it: -ENOTCONN when it did not open
 * the file, or close it, where that is seen. After an error of the approach QEMU holds half a command: the connection is of no more use.
 */
int window_run(struct window *window, struct qmp *qmp);

/* True when the deadline of the window that runs has passed. */
bool window_expired(const struct window *window);

/* Asked at every open() of the process: whether a device state was to be opened by that name. */
bool window_has_named(const char *path);
/* Then: the path to open instead, whose descriptor window_on_opened() is told; or the errno (negative) that it must fail with. */
int window_on_open(const char *name, char state_path[PATH_MAX]);
void window_on_opened(int fd);
/* Called before every close() of the process. */
void window_on_close(int fd);

#endif
