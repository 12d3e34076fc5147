#include "pace.h"

#include "frames.h"

#define REST_MS 2

static void expired(struct timer *timer)
{
	struct pace *pace = owner_of(timer, struct pace, timer);

	pace->rests = false;
	pace->rested(pace);
}

void pace_open(struct pace *pace, void (*rested)(struct pace *pace))
{
	*pace = (struct pace){ .timer.expired = expired, .rested = rested };
}

void pace_took(struct pace *pace, size_t bytes)
{
	if (bytes == 0 || bytes >= CHUNK_BYTES)
		return;
	pace->rests = true;
	timer_start(&pace->timer, REST_MS);
}

void pace_close(struct pace *pace)
{
	timer_stop(&pace->timer);
}
