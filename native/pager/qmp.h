/*
 * qmp.h - the pager's own QMP connection: connect, run one command at a time, close.
 *
 * Only as much QMP as the pause window needs. Commands come as text and carry the id given here, so the reply is
 * the one line that holds this id; all other lines (events) are passed over. A line longer than the buffer is an
 * error, not a guess. Not handled: parsing results.
 */
#ifndef BOUGH_QMP_H
#define BOUGH_QMP_H

#include <stddef.h>
#include <stdint.h>

struct qmp {
	int fd;
	unsigned next_id;
	size_t length;
	char buffer[64 * 1024];
};

/* Connects and negotiates. deadline_ns is a CLOCK_MONOTONIC time. */
int qmp_connect(struct qmp *qmp, const char *path, uint64_t deadline_ns);

/*
 * Runs one command, given as the members of its object without braces: "\"execute\": \"cont\"".
 * -EREMOTEIO when QEMU answers with an error, whose text is then in qmp->buffer; -ETIMEDOUT at the deadline.
 */
int qmp_execute(struct qmp *qmp, const char *members, uint64_t deadline_ns);

void qmp_close(struct qmp *qmp);

uint64_t monotonic_ns(void);

#endif
