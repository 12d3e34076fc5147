#include "pace.h"

#define REST_MS 2

static void expired(struct timer *timer)
{
	struct pace *pace = owner_of(timer, struct pace, timer);

	pace->rests = false;
	pace->rested(pace);
}

void pace_open(struct pace *pace, size_t full_bytes, void (*rested)(struct pace *pace))
{
	*pace = (struct pace){ .timer.expired = expired, .full_bytes = full_bytes, .rested = rested };
}

void pace_took(struct pace *pace, size_t bytes, size_t asked)
{
	if (bytes == 0 || bytes >= asked || bytes >= pace->full_bytes)
		return;
	pace->rests = true;
	timer_start(&pace->timer, REST_MS);
}

void pace_close(struct pace *pace)
{
	timer_stop(&pace->timer);
}
