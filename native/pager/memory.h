/*
 * memory.h - the memory's part of a branch: which pages go into the layer, and when.
 *
 *   guest running   memory_precopy():       copies private pages, again and again what was written meanwhile
 *                   memory_last_pass():     once more, right before the stop
 *   PAUSE           memory_scan_stopped():  what was written since, the residue
 *                   memory_take_residue():  copies it into the stage, or arms it where that costs less
 *               or  memory_write_stopped(): everything, into the layer
 *   guest running   memory_sweep():         saves what is armed
 *                   stage_write():          saves what is staged
 *
 * The pre-copy needs asynchronous tracking. Without it the residue is all that is private.
 *
 * A branch that goes on from an earlier one copies, from its first pass on, what was written since that one: see tracker.h.
 */
#ifndef BOUGH_MEMORY_H
#define BOUGH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "armed.h"
#include "capture.h"
#include "ram.h"
#include "stage.h"
#include "tracker.h"
#include "window.h"

struct memory_report {
	size_t precopied_pages;
	size_t residue_pages;
	size_t armed_pages;
	int arm_error; /* why none are although some were to be; 0 otherwise */
	size_t fault_count;
	unsigned passes;
};

struct memory {
	struct tracker *tracker;
	bool is_tracked; /* goes by what the kernel noted, and not by what an earlier branch left on */
	bool goes_on;	 /* what is armed stands in the layers below already */
	struct armed armed;
	struct capture capture; /* after the window, what it found is the residue */
	struct stage *stage;
	struct memory_report *report;
};

/* Reserves memory for scans. memory_close() is due also after a failure, and after MEMORY_CLOSED() alone. */
#define MEMORY_CLOSED(of_tracker, of_stage) ((struct memory){.armed.stop_fd = -1, .tracker = (of_tracker), .stage = (of_stage)})
int memory_prepare(struct memory *memory, struct ram *ram, int layer_fd);
void memory_close(struct memory *memory);

/* Guest running: from here on the kernel notes what is written. As the next two, nothing to do where nothing is tracked. */
int memory_track(struct memory *memory);
/* Copies private pages until few enough are written meanwhile. */
int memory_precopy(struct memory *memory);
/* What was written while the stage was made and the disk settled: the pause is to find only what came after. */
int memory_last_pass(struct memory *memory);
/* Room for a residue like what the latest pass found or, where nothing was pre-copied, for as much as there may be. */
int memory_reserve_stage(struct memory *memory);

/* Inside the pause; -ETIMEDOUT at the window's deadline. */
int memory_scan_stopped(struct memory *memory);
int memory_take_residue(struct memory *memory, const struct window *pause);
/* With what the mapped layers hold as well, and without runs of zeroes, if it is to be flat. */
int memory_write_stopped(struct memory *memory, bool flat, const struct window *pause);

/* Guest running again: returns when all that is armed is in the layer. */
int memory_sweep(struct memory *memory);

#endif
