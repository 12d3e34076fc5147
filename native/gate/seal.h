/*
 * seal.h - a filter of the kernel's: from here on no thread of this process, and no program it starts, can make a socket
 * that is not of the Unix kind. What no hook catches the kernel refuses.
 *
 * Also refused: rings that could make sockets past the filter (io_uring), and system calls of another ABI, whose numbers
 * differ. It is set before main(): the process never has a socket or a ring of before.
 */
#ifndef BOUGH_GATE_SEAL_H
#define BOUGH_GATE_SEAL_H

/* Sets the filter and tries it. 0, or -errno; -EBADE if it is set and an internet socket can still be made. */
int seal_process(void);

#endif
