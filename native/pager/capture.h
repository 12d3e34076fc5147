/*
 * capture.h - which pages of RAM a branch takes, and their way into its layer.
 *
 * A scan finds runs of pages, a write puts what they hold into the layer, at the offset they have in RAM. Both serve the
 * pre-copy (guest running) and the pause; inside the pause a write goes in pieces, between which it looks at the deadline.
 */
#ifndef BOUGH_CAPTURE_H
#define BOUGH_CAPTURE_H

#include <stddef.h>

#include "ram.h"
#include "window.h"

struct capture {
	const struct ram *ram;
	int layer_fd;
	/* What the latest scan found: host addresses, in order. */
	struct page_run *runs;
	size_t run_count;
	size_t run_capacity;
	size_t page_count;
	struct page_run *scan_buffer;
};

/* Reserves memory for scans. */
int capture_prepare(struct capture *capture, const struct ram *ram, int layer_fd);
void capture_destroy(struct capture *capture);

int capture_scan(struct capture *capture, enum scan_filter filter);

/* Writes the runs the latest scan found, from first_run on. pause: the window whose deadline counts, NULL while the guest runs. */
int capture_write_found(const struct capture *capture, size_t first_run, const struct window *pause);

/*
 * Writes what the mapped layers from first_layer up hold, as RAM is now: where a layer above or a private page covers a
 * run, that is what is written. To be done before the private pages, so that a page the guest changes meanwhile is
 * written again.
 */
int capture_write_layers(const struct capture *capture, size_t first_layer, const struct window *pause);

#endif
