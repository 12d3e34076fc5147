/*
 * faulty.h - makes the n-th system or library call of the pager fail.
 *
 * The pager's objects are linked with their calls renamed (faulty.syms); those of the test program itself are not
 * affected. One call fails each time it is set up, so a loop over n reaches every failure there is. What stays broken is the
 * userfaultfd, for as long as it is set up.
 */
#ifndef BOUGH_TEST_FAULTY_H
#define BOUGH_TEST_FAULTY_H

#include <stdbool.h>

enum fault_kind {
	FAULT_ERROR,     /* the call fails, with an error typical of it */
	FAULT_INTERRUPT, /* EINTR where that can happen: nobody may notice */
	FAULT_SHORT,     /* half of what was asked for: nobody may notice */
	FAULT_STAYS,     /* read() fails from the n-th on */
	FAULT_POLL_STAYS, /* poll() tells of an error from the n-th on, and read() finds nothing */
};

/* The n-th call from now (1: the next) fails; 0: none. */
void faulty_arm(enum fault_kind kind, long n);
/* The next fsync(), or pread(), does not return before it is let go; whether one waits now. */
void faulty_hold(const char *name);
void faulty_let_go(void);
bool faulty_waits(void);
/* How many fsync(), pread() and pwrite() there were since one was let go. */
long faulty_calls_since(void);
/* Whether it came to that; the name of the call. Disarms. */
bool faulty_disarm(const char **name);
/* The kernel of before Linux 6.3: protecting a range fails when it reaches over a border between mappings, one each so many pages; 0: none. */
void faulty_borders(unsigned long pages);
/* How many calls one that stays has failed since it was set up. */
long faulty_stayed(void);

#endif
