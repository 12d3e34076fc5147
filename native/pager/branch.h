/*
 * branch.h - one branch, from the first scan to the last byte of the layer.
 *
 *   live   prepare -> pre-copy (guest running) -> settle the disk -> last pass -> PAUSE -> sweep, unstage -> runs
 *   diff   prepare ->                             settle the disk -> PAUSE (copies all private pages, fsync) -> runs
 *   full   prepare ->                             settle the disk -> PAUSE (copies all pages, fsync)         -> runs
 *
 * A pause that finds more of the disk than it may copy ends at once; in the next one the disk is switched first.
 *
 * A layer holds every private page: all that differs from the layers the VM was started from. In live mode the
 * pre-copy writes them while the guest runs; what the guest writes meanwhile (the residue) is copied inside the
 * pause into memory faulted in before, or, where much of it lies together, protected there and swept afterwards.
 *
 * A layer of more runs than its children can map has its smallest gaps filled in the end: see fit.h.
 *
 * A branch may go on from an earlier one: its layer then holds what was written since, and stands on that one's layers, `own`,
 * which stand on the mapped layers this one would stand on. It can as long as nothing has come in between, see tracker.h; otherwise
 * it is captured as if nobody had asked, and the report tells.
 *
 * A branch may fold: its layer then also holds what the mapped layers from some index up hold, written before anything
 * else while the guest runs. It stands on the layers below that index alone.
 *
 * Invariant: whatever fails, the guest runs on; the files named in the request are then the caller's to remove.
 */
#ifndef BOUGH_BRANCH_H
#define BOUGH_BRANCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk.h"
#include "ground.h"
#include "memory.h"
#include "qmp.h"
#include "ram.h"
#include "tracker.h"

enum branch_mode { BRANCH_LIVE, BRANCH_DIFF, BRANCH_FULL };

struct branch_request {
	enum branch_mode mode;
	enum tracking tracking; /* for live: what to use, at most what kernel_probe() found */
	const char *qmp_path;
	const char *layer;
	const char *state;
	struct disk_request disk;
	const char *durable; /* or NULL */
	bool folds;	  /* live and diff: the layer also holds what layers from fold_from up hold */
	size_t fold_from;
	const char *name;  /* what a later branch may call this one; or NULL */
	const char *since; /* the branch to go on from, if that can be; or NULL */
	const char *own[GROUND_MAX_OWN]; /* its layers above the mapped ones, bottom first */
	size_t own_count;
	size_t own_runs; /* of all of them; 0: not known */
	uint64_t deadline_ms;
	uint64_t runs_max; /* bytes of the list of runs that fit an answer */
};

/* Microseconds unless the name says otherwise. */
struct branch_report {
	uint64_t pause_us;  /* command sent to reply read: an upper bound of the time the vCPUs stand still */
	uint64_t events_us; /* between QEMU's STOP and RESUME events: a lower bound; 0 unknown */
	uint64_t stop_us;  /* command sent to vCPUs stopped and block layer drained */
	uint64_t scan_us;
	uint64_t copy_us; /* residue copied or armed */
	uint64_t tail_us;
	uint64_t state_us; /* from the stop on: device state saved, beside it the three above, and VM resumed */
	uint64_t prepare_us; /* before the pre-copy: files, QMP, what it goes on from */
	uint64_t precopy_us;
	uint64_t reserve_us; /* memory for the pause */
	uint64_t sweep_us;
	struct memory_report memory;
	uint64_t tail_bytes;
	uint64_t captured_bytes;
	bool went_on;	   /* the layer stands on those of the branch before as well */
	unsigned windows;  /* pauses, all but the last of them cut short */
	size_t switches;   /* of the disk's overlay */
	char *runs;	   /* see layer_runs(); the caller frees it */
};

/* How a branch ended: 0, or -errno and what it was that failed. */
struct branch_outcome {
	int error;
	const char *operation;
};

/*
 * Runs the branch; calls running() as soon as the guest runs again after a window that succeeded. The tracker and the stage are those
 * of the branch before, if there was one; qmp is not connected, or its window has been begun, and is closed.
 */
struct branch_outcome branch_run(struct ram *ram, struct tracker *tracker, struct stage *stage, struct qmp *qmp,
				 const struct branch_request *request, struct branch_report *report,
				 void (*running)(void *arg, const struct branch_report *report), void *arg);

#endif
