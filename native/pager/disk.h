/*
 * disk.h - the disk's part of a branch: which overlay the guest writes to, and what that holds at the pause.
 *
 *   guest running   disk_settle():     an overlay that has grown is frozen, by a switch to an empty one
 *   PAUSE           disk_take_tail():  the topmost overlay is read into the stage
 *   guest running   stage_write():     and from there into the tail file
 *
 * Only the stop tells how large the tail is: what the guest writes between the look at its overlay and the stop comes on
 * top. So the pause takes a tail of some MiB at most. A larger one ends it, with nothing captured yet; the guest runs on, and
 * in the next pause QEMU itself switches, the guest standing still: disk_switch_stopped(). That costs some milliseconds, and
 * leaves no tail, however fast the guest writes.
 *
 * Without spares (a VM that ends with its capture) the tail is copied whatever its size, for as long as the deadline allows.
 *
 * Not handled: how overlays are made. The caller hands over spares that stand ready, and the commands that switch to them.
 */
#ifndef BOUGH_DISK_H
#define BOUGH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmp.h"
#include "stage.h"
#include "window.h"

#define DISK_MAX_SPARES 4

/* An empty overlay, and the QMP command that puts it on top of the one before it. */
struct disk_spare {
	const char *overlay;
	const char *command;
};

struct disk_request {
	const char *overlay; /* the topmost one's file; NULL: no disk */
	const char *tail;
	struct disk_spare spares[DISK_MAX_SPARES]; /* to be used in this order */
	size_t spare_count;
};

struct disk {
	const struct disk_request *request;
	int overlay_fd; /* the topmost; -1 without a disk */
	int tail_fd;
	size_t switches;
	bool outgrown; /* the latest pause found more than it may take */
	uint64_t tail_bytes;
};

/* Opens the overlay and creates the tail. disk_close() is due also after a failure, and after DISK_CLOSED alone. */
#define DISK_CLOSED ((struct disk){.overlay_fd = -1, .tail_fd = -1})
int disk_open(struct disk *disk, const struct disk_request *request);
void disk_close(struct disk *disk);

/* Guest running, just before a pause: switches to the next spare, if there is one and the overlay has grown. */
int disk_settle(struct disk *disk, struct qmp *qmp, uint64_t deadline_ns);

/* Guest running, disk_may_retry(): the command that the next pause is to run before it takes the tail. If that fails, all has failed. */
int disk_switch_stopped(struct disk *disk, const char **command);

/*
 * Inside the pause; QEMU has drained and flushed the overlay. -EFBIG, and outgrown, when it is larger than a pause may take;
 * -ETIMEDOUT at the window's deadline.
 */
int disk_take_tail(struct disk *disk, struct stage *stage, const struct window *pause);

/* Whether the pause that has just failed may be tried again: it found too long a tail, and there is a spare. */
bool disk_may_retry(const struct disk *disk);

#endif
