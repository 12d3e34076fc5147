#include "tracker.h"

#include <string.h>
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
	tracker_forget(tracker);
}

bool tracker_knows(const struct tracker *tracker, const char *name)
{
	return tracker->on && tracker->known[0] && strcmp(tracker->known, name) == 0;
}

void tracker_forget(struct tracker *tracker)
{
	tracker->known[0] = '\0';
}

void tracker_remember(struct tracker *tracker, const char *name)
{
	tracker_forget(tracker);
	/* Without tracking there is nothing armed that a later branch could go by. */
	if (tracker->on && name && strlen(name) < sizeof(tracker->known))
		strcpy(tracker->known, name);
}

int tracker_lend(struct tracker *tracker, const struct page_run *range)
{
	return tracker->on ? uffd_unregister(tracker->uffd, range->start, range->end - range->start) : 0;
}

int tracker_take_back(struct tracker *tracker, const struct page_run *range)
{
	return tracker->on ? uffd_register_wp(tracker->uffd, range->start, range->end - range->start) : 0;
}
