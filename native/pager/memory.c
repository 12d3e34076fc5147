#define _GNU_SOURCE
#include "memory.h"

#include <stdint.h>

/* The pre-copy ends when a pass finds this few written pages, or no longer halves them, or after this many passes. */
#define PRECOPY_ENOUGH_PAGES 128
#define PRECOPY_MAX_PASSES 5
/* A residue up to this size is copied without a look at what lies together: about a millisecond. */
#define RESIDUE_COPIED_PAGES 2048

int memory_prepare(struct memory *memory, struct ram *ram, int layer_fd)
{
	int error = capture_prepare(&memory->capture, ram, layer_fd);

	return error ? error : armed_prepare(&memory->armed, ram, memory->tracker, layer_fd);
}

void memory_close(struct memory *memory)
{
	/* After a failure pages may still be armed: the guest must get them back before anything else. */
	if (memory->armed.stop_fd >= 0)
		armed_destroy(&memory->armed);
	stage_release(memory->stage);
	capture_destroy(&memory->capture);
}

/*
 * Copies what is found, all of which is protected: what is written from then on will be found by the next pass. The first copies
 * all that is private, after it has protected what earlier branches left unprotected; or that alone, where it goes on from one.
 */
static int copy_pass(struct memory *memory, bool is_first)
{
	struct capture *capture = &memory->capture;
	int error = capture_scan_and_arm(capture);

	if (!error && is_first && !memory->goes_on)
		error = capture_scan(capture, SCAN_PRIVATE);
	if (!error)
		error = capture_write_found(capture, 0, NULL);
	if (error)
		return error;
	memory->report->passes++;
	memory->report->precopied_pages += capture->page_count;
	return 0;
}

int memory_track(struct memory *memory)
{
	return memory->is_tracked ? tracker_start(memory->tracker, memory->capture.ram) : 0;
}

int memory_precopy(struct memory *memory)
{
	size_t found = SIZE_MAX, previous;

	if (!memory->is_tracked)
		return 0;
	do {
		int error = copy_pass(memory, memory->report->passes == 0);

		if (error)
			return error;
		previous = found;
		found = memory->capture.page_count;
	} while (found > PRECOPY_ENOUGH_PAGES && found <= previous / 2 && memory->report->passes < PRECOPY_MAX_PASSES);
	return 0;
}

int memory_last_pass(struct memory *memory)
{
	return memory->is_tracked ? copy_pass(memory, false) : 0;
}

int memory_reserve_stage(struct memory *memory)
{
	return stage_reserve(memory->stage, memory->is_tracked ? memory->capture.page_count : SIZE_MAX);
}

int memory_scan_stopped(struct memory *memory)
{
	int error = capture_scan(&memory->capture, memory->is_tracked ? SCAN_WRITTEN : SCAN_PRIVATE);

	memory->report->residue_pages = memory->capture.page_count;
	return error;
}

/*
 * Of a large residue, what lies together is armed. The rest has to be copied at once: into the stage, and beyond it into the
 * layer. Where there is no synchronous tracking, a longer pause is still an exact one.
 */
int memory_take_residue(struct memory *memory, const struct window *pause)
{
	struct capture *capture = &memory->capture;

	if (capture->page_count > RESIDUE_COPIED_PAGES) {
		memory->report->arm_error = armed_begin(&memory->armed, capture->found.list, &capture->found.count, pause);
		if (memory->armed.begun)
			memory->report->armed_pages = memory->armed.page_count;
	}
	return capture_write_found(capture, stage_pages(memory->stage, capture, pause), pause);
}

int memory_write_stopped(struct memory *memory, bool flat, const struct window *pause)
{
	int error;

	memory->capture.leaves_out_zeroes = flat;
	error = flat ? capture_write_layers(&memory->capture, 0, pause) : 0;
	return error ? error : capture_write_found(&memory->capture, 0, pause);
}

int memory_sweep(struct memory *memory)
{
	int error = armed_finish(&memory->armed);

	memory->report->fault_count = memory->armed.sweep.fault_count;
	return error;
}
