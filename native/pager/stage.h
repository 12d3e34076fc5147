/*
 * stage.h - memory faulted in before the pause, into which the pause copies what the guest running again would change.
 *
 * Allocation is what a pause must not pay for: a copy into memory that is there costs a few tenths of a microsecond a
 * page, into memory that is not, twenty times as much. Huge pages make it there ten times as fast.
 */
#ifndef BOUGH_STAGE_H
#define BOUGH_STAGE_H

#include <stdint.h>

#include "capture.h"

/* What is staged at most: 2,048 pages take about a millisecond to copy, and as many bytes of a disk about as long. */
#define STAGE_PAGES 2048
#define STAGE_TAIL_BYTES (4 * 1024 * 1024)

struct stage {
	uint8_t *memory; /* pages, then the tail */
	size_t tail_bytes;
	bool holds_pages;
};

int stage_reserve(struct stage *stage);
void stage_destroy(struct stage *stage);

/* Copies the pages a scan found. -E2BIG, and nothing is copied, when there is no room. */
int stage_pages(struct stage *stage, const struct capture *capture);
/* Reads all of a file of at most STAGE_TAIL_BYTES; -ETIMEDOUT at the window's deadline. */
int stage_tail(struct stage *stage, int fd, size_t bytes, const struct window *pause);

/* Writes the staged pages into the layer of the same capture, not scanned again since, and the tail into its file. */
int stage_write(const struct stage *stage, const struct capture *capture, int tail_fd);

#endif
