/*
 * The event loop: descriptors that become ready and times that come. Everything in the agent runs on it, in one thread.
 *
 * One event or one timer is served per turn, so a handler may free or stop whatever it likes but itself: what is to be freed
 * is marked, and swept between turns.
 */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include <stddef.h>
#include <stdint.h>

#define owner_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

/* A descriptor that is watched. `events` is kept by source_watch(). */
struct source {
	int fd;
	uint32_t events;
	void (*ready)(struct source *source, uint32_t events);
};

struct timer {
	int64_t at_ms;
	struct timer *next;
	void (*expired)(struct timer *timer);
};

int loop_open(void);

/* Serves one event or one timer. */
void loop_turn(void);

/* Asks to be told of these epoll events, which are level-triggered; 0 for none, not even of the other side's end. */
void source_watch(struct source *source, uint32_t events);

/* Forgets and closes the descriptor. */
void source_close(struct source *source);

void timer_start(struct timer *timer, int64_t after_ms);
void timer_stop(struct timer *timer);

/* Of the monotonic clock. */
int64_t now_ms(void);

#endif
