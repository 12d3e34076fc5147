#include "capture.h"

#include <errno.h>
#include <stdlib.h>

#include "layer.h"

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
	free(capture->runs);
}

static int note_run(void *arg, const struct page_run *run)
{
	struct capture *capture = arg;

	if (capture->run_count == capture->run_capacity) {
		size_t capacity = capture->run_capacity ? capture->run_capacity * 2 : SCAN_BUFFER_RUNS;
		struct page_run *grown = realloc(capture->runs, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		capture->runs = grown;
		capture->run_capacity = capacity;
	}
	capture->runs[capture->run_count++] = *run;
	capture->page_count += (run->end - run->start) / PAGE_BYTES;
	return 0;
}

int capture_scan(struct capture *capture, enum scan_filter filter)
{
	const struct ram *ram = capture->ram;
	uint64_t start = (uintptr_t)ram->base;

	capture->run_count = 0;
	capture->page_count = 0;
	if (filter == SCAN_PRIVATE && !kernel_has_pagemap_scan())
		return pagemap_read_private(ram->pagemap_fd, start, start + ram->bytes, note_run, capture);
	return pagemap_scan(ram->pagemap_fd, start, start + ram->bytes, filter, capture->scan_buffer, SCAN_BUFFER_RUNS,
			    note_run, capture);
}

/* Host addresses: a run's, as the kernel reported it, or those of a layer's run in RAM. */
static int write_range(const struct capture *capture, uint64_t start, uint64_t end, const struct window *pause)
{
	uint64_t base = (uintptr_t)capture->ram->base;

	while (start < end) {
		size_t bytes = end - start;
		int error;

		if (pause && window_expired(pause))
			return -ETIMEDOUT;
		if (pause && bytes > PAUSE_WRITE_BYTES)
			bytes = PAUSE_WRITE_BYTES;
		error = layer_write(capture->layer_fd, (const void *)start, bytes, start - base);
		if (error)
			return error;
		start += bytes;
	}
	return 0;
}

int capture_write_found(const struct capture *capture, size_t first_run, const struct window *pause)
{
	int error = 0;

	for (size_t i = first_run; i < capture->run_count && !error; i++)
		error = write_range(capture, capture->runs[i].start, capture->runs[i].end, pause);
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
