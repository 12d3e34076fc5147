#include "capture.h"

#include <errno.h>
#include <stdlib.h>

#include "layer.h"
#include "zeroes.h"

/* Runs the kernel reports per call of a scan. */
#define SCAN_BUFFER_RUNS 8192
/* What is written inside the pause between two looks at the deadline: some milliseconds. */
#define PAUSE_WRITE_BYTES (1024 * 1024)

int capture_prepare(struct capture *capture, const struct ram *ram, int layer_fd)
{
	*capture = (struct capture){.ram = ram, .layer_fd = layer_fd};
	capture->scan_buffer = malloc(SCAN_BUFFER_RUNS * sizeof(*capture->scan_buffer));
	return capture->scan_buffer ? 0 : -ENOMEM;
}

void capture_destroy(struct capture *capture)
{
	free(capture->scan_buffer);
	free(capture->found.list);
	free(capture->ranges.list);
}

static int note_run(void *arg, const struct page_run *run)
{
	struct capture *capture = arg;

	struct run_list *found = &capture->found;

	if (found->count == found->capacity) {
		size_t capacity = found->capacity ? found->capacity * 2 : SCAN_BUFFER_RUNS;
		struct page_run *grown = realloc(found->list, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		found->list = grown;
		found->capacity = capacity;
	}
	found->list[found->count++] = *run;
	capture->page_count += (run->end - run->start) / PAGE_BYTES;
	return 0;
}

static void forget_found(struct capture *capture)
{
	capture->found.count = 0;
	capture->page_count = 0;
}

int capture_scan(struct capture *capture, enum scan_filter filter)
{
	const struct ram *ram = capture->ram;
	uint64_t start = (uintptr_t)ram->base;

	forget_found(capture);
	if (filter == SCAN_PRIVATE && !kernel_has_pagemap_scan())
		return pagemap_read_private(ram->pagemap_fd, start, start + ram->bytes, note_run, capture);
	return pagemap_scan(ram->pagemap_fd, start, start + ram->bytes, filter, capture->scan_buffer, SCAN_BUFFER_RUNS,
			    note_run, capture);
}

/* Makes one of runs that are no further apart than that; how many are left. */
static size_t join_runs(struct page_run *runs, size_t run_count, uint64_t gap_bytes)
{
	size_t last = 0;

	for (size_t i = 1; i < run_count; i++) {
		if (runs[i].start - runs[last].end <= gap_bytes)
			runs[last].end = runs[i].end;
		else
			runs[++last] = runs[i];
	}
	return run_count ? last + 1 : 0;
}

/* Sets aside what the latest scan found, as ranges: its runs, joined as far as it takes to have few enough. */
static void take_ranges(struct capture *capture)
{
	struct run_list found = capture->found;

	capture->found = capture->ranges;
	capture->ranges = found;
	for (uint64_t gap_bytes = PAGE_BYTES; capture->ranges.count > ARMING_MAX_CALLS; gap_bytes *= 2)
		capture->ranges.count = join_runs(capture->ranges.list, capture->ranges.count, gap_bytes);
}

int capture_scan_and_arm(struct capture *capture)
{
	int error = capture_scan(capture, SCAN_WRITTEN);

	if (error)
		return error;
	take_ranges(capture);
	forget_found(capture);
	for (size_t i = 0; i < capture->ranges.count && !error; i++)
		error = pagemap_scan(capture->ram->pagemap_fd, capture->ranges.list[i].start, capture->ranges.list[i].end,
				     SCAN_WRITTEN_AND_ARM, capture->scan_buffer, SCAN_BUFFER_RUNS, note_run, capture);
	return error;
}

static int write_piece(const struct capture *capture, const uint8_t *from, const uint8_t *end)
{
	uint8_t *base = capture->ram->base;
	int error = 0;

	while (from < end && !error) {
		struct zeroes zeroes = {end, end};

		if (capture->leaves_out_zeroes)
			zeroes = zeroes_first(from, end);
		error = layer_write(capture->layer_fd, from, (size_t)(zeroes.start - from), (uint64_t)(from - base));
		from = zeroes.end;
	}
	return error;
}

/* Host addresses: a run's, as the kernel reported it, or those of a layer's run in RAM. */
static int write_range(const struct capture *capture, uint64_t start, uint64_t end, const struct window *pause)
{
	while (start < end) {
		size_t bytes = end - start;
		int error;

		if (pause && window_expired(pause))
			return -ETIMEDOUT;
		if (pause && bytes > PAUSE_WRITE_BYTES)
			bytes = PAUSE_WRITE_BYTES;
		error = write_piece(capture, (const uint8_t *)start, (const uint8_t *)start + bytes);
		if (error)
			return error;
		start += bytes;
	}
	return 0;
}

int capture_write_found(const struct capture *capture, size_t skipped_bytes, const struct window *pause)
{
	int error = 0;

	for (size_t i = 0; i < capture->found.count && !error; i++) {
		const struct page_run *run = &capture->found.list[i];
		size_t skipped = run->end - run->start < skipped_bytes ? run->end - run->start : skipped_bytes;

		error = write_range(capture, run->start + skipped, run->end, pause);
		skipped_bytes -= skipped;
	}
	return error;
}

int capture_write_layers(const struct capture *capture, size_t first_layer, const struct window *pause)
{
	const struct ram *ram = capture->ram;
	uint64_t base = (uintptr_t)ram->base;
	int error = 0;

	for (size_t i = 0; i < ram->layer_run_count && !error; i++)
		if (ram->layer_runs[i].layer >= first_layer)
			error = write_range(capture, base + ram->layer_runs[i].start, base + ram->layer_runs[i].end, pause);
	return error;
}
