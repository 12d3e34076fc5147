#include "tracker.h"

#include <unistd.h>

int tracker_switch(struct tracker *tracker, const struct ram *ram, enum tracking kind)
{
	int error;

	if (tracker->kind == kind)
		return 0;
	if (tracker->kind != TRACKING_NONE) {
		error = uffd_unregister(tracker->uffd, ram->base, ram->bytes);
		if (error)
			return error;
		close(tracker->uffd);
		tracker->kind = TRACKING_NONE;
	}
	if (kind == TRACKING_NONE)
		return 0;
	error = uffd_open(kind, &tracker->uffd);
	if (error)
		return error;
	error = uffd_register_wp(tracker->uffd, ram->base, ram->bytes);
	if (error) {
		close(tracker->uffd);
		return error;
	}
	tracker->kind = kind;
	return 0;
}
