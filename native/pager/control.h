/*
 * control.h - the pager's control socket: reads requests, runs them, answers. See protocol.h.
 *
 * One thread, one connection at a time, one request at a time. A daemon that goes away in the middle of a branch
 * changes nothing for the guest: the branch runs to its end, the answer finds no reader, and the next daemon may
 * connect.
 */
#ifndef BOUGH_CONTROL_H
#define BOUGH_CONTROL_H

/* Listens on socket_path and starts the control thread, whose branches use QEMU's QMP socket at qmp_path. */
int control_start(const char *socket_path, const char *qmp_path);

#endif
