#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static struct timer *timers;

int loop_open(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void source_watch(struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int operation = source->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (source->fd < 0 || source->events == events)
		return;
	/* It fails for want of kernel memory only; what is not heard of then ends at its deadline. */
	if (epoll_ctl(epoll_fd, operation, source->fd, &event) == 0)
		source->events = events;
}

void source_close(struct source *source)
{
	if (source->fd < 0)
		return;
	source_watch(source, 0);
	close(source->fd);
	source->fd = -1;
}

void timer_stop(struct timer *timer)
{
	struct timer **at = &timers;

	while (*at != NULL && *at != timer)
		at = &(*at)->next;
	if (*at == timer)
		*at = timer->next;
}

void timer_start(struct timer *timer, int64_t after_ms)
{
	timer_stop(timer);
	timer->at_ms = now_ms() + after_ms;
	timer->next = timers;
	timers = timer;
}

static struct timer *first_timer(void)
{
	struct timer *first = timers;

	for (struct timer *each = timers; each != NULL; each = each->next)
		if (each->at_ms < first->at_ms)
			first = each;
	return first;
}

/* Milliseconds for epoll_wait: rounded to what fits, since a timer may be years away. */
static int wait_ms(const struct timer *timer)
{
	const int64_t longest_ms = 1 << 30;
	int64_t left_ms;

	if (timer == NULL)
		return -1;
	left_ms = timer->at_ms - now_ms();
	return (int)(left_ms < 0 ? 0 : left_ms < longest_ms ? left_ms : longest_ms); /* within int by the line itself */
}

void loop_turn(void)
{
	struct timer *timer = first_timer();
	struct epoll_event event;
	int count = epoll_wait(epoll_fd, &event, 1, wait_ms(timer));

	if (count == 1) {
		struct source *source = event.data.ptr;

		source->ready(source, event.events);
	}
	/* Also after an event, or a stream of events would keep every deadline waiting. */
	timer = first_timer();
	if (timer != NULL && timer->at_ms <= now_ms()) {
		timer_stop(timer);
		timer->expired(timer);
	}
}
