/*
 * aside.h - work inside the pause whose system calls may take as long as a disk likes: fsync(), writes that wait for writeback.
 *
 * Such a call cannot be interrupted. So a thread of its own makes it, and the pause waits for that thread until its deadline and
 * no longer; what is then still under way goes on beside the running guest.
 *
 *   aside_run()  ──▶ the result, in time          ──▶ aside_end(): nothing left to wait for
 *                └─▶ -ETIMEDOUT: the guest runs on ──▶ aside_end(): waits for the work, whose result nobody wants
 *
 * What aside_end() waits for is bounded by calls, not by time: work looks at the deadline between its calls, so at most it ends the
 * piece it is at, and a call ends when the disk answers. Nothing may end that wait earlier: the call uses the branch's files and
 * memory. Until then the branch is not answered.
 */
#ifndef BOUGH_ASIDE_H
#define BOUGH_ASIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct aside {
	int (*work)(void *arg);
	void *arg;
	pthread_t thread;
	bool begun;
	int done_fd; /* eventfd, readable once there is a result */
	int result;
};

/* Runs the work; its result, -ETIMEDOUT at the deadline (CLOCK_MONOTONIC), or why it could not be begun. */
int aside_run(struct aside *aside, uint64_t deadline_ns);

/* Returns when the work is over: what it uses may go. Nothing to do when it was never begun. */
void aside_end(struct aside *aside);

#endif
