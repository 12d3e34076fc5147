/*
 * capture.h - which pages of RAM a branch takes, and their way into its layer.
 *
 * A scan finds runs of pages, a write puts what they hold into the layer, at the offset they have in RAM. Both serve the
 * pre-copy (guest running) and the pause; inside the pause a write goes in pieces, between which it looks at the deadline.
 */
#ifndef BOUGH_CAPTURE_H
#define BOUGH_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "ram.h"
#include "window.h"

/* Host addresses, in order. */
struct run_list {
	struct page_run *list;
	size_t count;
	size_t capacity;
};

struct capture {
	const struct ram *ram;
	int layer_fd;
	bool leaves_out_zeroes; /* the layer stands on nothing and is written once: what it does not hold reads as zero */
	struct run_list found; /* by the latest scan */
	size_t page_count;     /* of these */
	struct run_list ranges; /* where the latest arming scan looked */
	struct page_run *scan_buffer;
};

/* Calls to the kernel in which what is found is protected: each costs some microseconds. */
#define ARMING_MAX_CALLS 1024

/* Reserves memory for scans. */
int capture_prepare(struct capture *capture, const struct ram *ram, int layer_fd);
void capture_destroy(struct capture *capture);

/* SCAN_PRIVATE or SCAN_WRITTEN, over all of RAM. */
int capture_scan(struct capture *capture, enum scan_filter filter);

/*
 * Guest running: finds what was written, and protects it. Two looks: the first protects nothing and tells where the second is
 * worth its price, the second protects there, and what it reports is what is found. A page written after the first look and
 * outside of that stays unprotected: the next scan finds it.
 */
int capture_scan_and_arm(struct capture *capture);

/* Writes what the latest scan found, all but its first skipped_bytes. pause: the window whose deadline counts, NULL while the guest runs. */
int capture_write_found(const struct capture *capture, size_t skipped_bytes, const struct window *pause);

/*
 * Writes what the mapped layers from first_layer up hold, as RAM is now: where a layer above or a private page covers a
 * run, that is what is written. To be done before the private pages, so that a page the guest changes meanwhile is
 * written again.
 */
int capture_write_layers(const struct capture *capture, size_t first_layer, const struct window *pause);

#endif
