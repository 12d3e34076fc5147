/*
 * qmp.h - the pager's own QMP connection: connect, run commands, close.
 *
 * Only as much QMP as the pause window needs. Commands come as text and carry the id given here, so the reply is
 * the one line that holds this id; of all other lines only the times of STOP and RESUME are noted. A line longer than
 * the buffer is an error, not a guess. Not handled: parsing results.
 *
 * QEMU reads QMP a byte at a time, some microseconds each. So a command can be sent in two steps: all of it but the
 * closing brace, and, once QEMU has read that, the brace. Whoever begins or executes another before takes the first back, with
 * its connection.
 */
#ifndef BOUGH_QMP_H
#define BOUGH_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be done as soon as fd can be read, while an answer is waited for. */
struct beside {
	int fd; /* -1: nothing */
	void (*run)(void);
};

struct qmp {
	int fd; /* -1: not connected */
	const char *path;
	bool begun; /* QEMU holds a command without its brace */
	struct beside beside;
	unsigned next_id;
	/* When the VM last stopped and ran again, in microseconds of QEMU's wall clock as its events give it; 0 before any. */
	uint64_t stopped_us;
	uint64_t resumed_us;
	size_t length;
	char buffer[64 * 1024];
};

/* Connects and negotiates. deadline_ns is a CLOCK_MONOTONIC time; path is kept. */
int qmp_connect(struct qmp *qmp, const char *path, uint64_t deadline_ns);

/*
 * Runs one command, given as the members of its object without braces: "\"execute\": \"cont\"".
 * -EREMOTEIO when QEMU answers with an error; -ETIMEDOUT at the deadline.
 */
int qmp_execute(struct qmp *qmp, const char *members, uint64_t deadline_ns);

/* The two steps of qmp_execute(): the first returns when QEMU has read all but the brace, the second runs it. */
int qmp_begin(struct qmp *qmp, const char *members, uint64_t deadline_ns);
/* Between the two: wakes the thread of QEMU that is to read the brace. */
int qmp_nudge(struct qmp *qmp, uint64_t deadline_ns);
int qmp_finish(struct qmp *qmp, uint64_t deadline_ns);

/*
 * The second step for a command that others are to follow at once. They are sent in one piece, so that QEMU has all of them or
 * none, and each is run whatever became of the one before. The error is the first one's that failed; *failed tells which, 0
 * being the command begun. No deadline: QEMU forgets the commands it has not run yet when a connection is closed.
 */
int qmp_finish_chain(struct qmp *qmp, const char *const *members, size_t count, size_t *failed);

/* Takes in what QEMU tells unasked, once there is something to read. After an error the connection is of no more use. */
int qmp_hear(struct qmp *qmp);

/* Idempotent. */
void qmp_close(struct qmp *qmp);

uint64_t monotonic_ns(void);

/* Waits until fd can be read; -ETIMEDOUT at the deadline. */
int wait_readable(int fd, uint64_t deadline_ns);

#endif
