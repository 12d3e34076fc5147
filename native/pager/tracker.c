#include "tracker.h"

#include <unistd.h>

int tracker_start(struct tracker *tracker, const struct ram *ram)
{
	int error;

	if (tracker->on)
		return 0;
	error = uffd_open(TRACKING_ASYNC, &tracker->uffd);
	if (error)
		return error;
	error = uffd_register_wp(tracker->uffd, (uintptr_t)ram->base, ram->bytes);
	if (error) {
		close(tracker->uffd);
		return error;
	}
	tracker->ram = ram;
	tracker->on = true;
	return 0;
}

void tracker_stop(struct tracker *tracker)
{
	if (!tracker->on)
		return;
	uffd_unregister(tracker->uffd, (uintptr_t)tracker->ram->base, tracker->ram->bytes);
	/* The last descriptor's close lifts what unregistering could not. */
	close(tracker->uffd);
	tracker->on = false;
}

int tracker_lend(struct tracker *tracker, const struct page_run *range)
{
	return tracker->on ? uffd_unregister(tracker->uffd, range->start, range->end - range->start) : 0;
}

int tracker_take_back(struct tracker *tracker, const struct page_run *range)
{
	return tracker->on ? uffd_register_wp(tracker->uffd, range->start, range->end - range->start) : 0;
}
