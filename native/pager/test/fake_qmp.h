/*
 * fake_qmp.h - QEMU's main thread as the pager sees it: a QMP server on a Unix socket in front of a machine.
 *
 * One connection at a time, commands in order, replies in QEMU's spelling, events in between. On
 * xen-save-devices-state it does what QEMU does: stops the machine, writes a little guest memory (as virtio does
 * when it stops), opens the file by open64(), saves, runs the machine again whatever happened. Between the stop and
 * the open the machine's reference copy is taken; after the close it writes guest memory again, which must not reach
 * the capture. A machine that was stopped by `stop` is saved as it stands, and runs again at `cont`. The script of the next branch says how it misbehaves.
 */
#ifndef BOUGH_TEST_FAKE_QMP_H
#define BOUGH_TEST_FAKE_QMP_H

#include "machine.h"

enum qmp_script {
	QMP_FINE,
	QMP_NO_GREETING,
	QMP_SWITCH_FAILS,
	QMP_SAVE_FAILS_FIRST, /* an error before the file is opened */
	QMP_SAVE_FAILS_LAST,  /* an error after the file was written */
	QMP_CLOSES,           /* the connection, instead of saving */
	QMP_LATE_OPEN,        /* silent for script_ms, then opens the file */
	QMP_LATE_REPLY,       /* the file is written, the reply comes after script_ms */
	QMP_NEVER_OPENS,      /* answers success without having opened the file */
	QMP_CLOSES_UNSEEN,    /* the file, by the system call */
	QMP_SAVES_LONG,       /* for script_ms, and then writes guest memory, before it closes the file */
	QMP_JUNK,             /* 4 MB without a newline */
	/* These, where the machine was stopped by a command of its own. */
	QMP_STOPPED_SWITCH_FAILS,
	QMP_STOPPED_SAVE_FAILS,
	QMP_STOPPED_LATE_OPEN, /* silent for script_ms before the file is opened */
};

struct fake_qmp {
	struct machine *machine;
	int listen_fd;
	pthread_t thread;
	uint64_t random;
	_Atomic int script;
	_Atomic unsigned script_ms;
	_Atomic bool leaves_ram_alone; /* for tests that say what each page holds */
	_Atomic unsigned dawdle_us; /* between receiving the command and stopping */
	_Atomic size_t late_disk_bytes; /* written to the disk in that time, by the next late_disk_saves stops */
	_Atomic unsigned late_disk_saves;
	bool stopped; /* by `stop` */
	_Atomic unsigned connections; /* accepted */
	_Atomic int connection_fd;    /* the latest */
	_Atomic bool holds_half;      /* a command without its end has come over it */
	/* Of the latest save. */
	_Atomic int opened;         /* 1 opened, -errno refused, 0 not tried */
	_Atomic unsigned saves;     /* commands dealt with, to the resume */
	_Atomic unsigned switches;  /* of the overlay, carried out */
};

void fake_qmp_start(struct fake_qmp *qmp, const char *path, struct machine *machine, uint64_t seed);
/* Tells of an event, unasked, over a connection that is open. */
void fake_qmp_event(struct fake_qmp *qmp, const char *name);

#endif
