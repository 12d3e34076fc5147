/*
 * stage.h - memory faulted in before the pause, into which the pause copies what the guest running again would change.
 *
 * Allocation is what a pause must not pay for: a copy into memory that is there costs a few tenths of a microsecond a
 * page, into memory that is not, twenty times as much.
 */
#ifndef BOUGH_STAGE_H
#define BOUGH_STAGE_H

#include <stdint.h>

#include "capture.h"

/* A disk tail up to this size is staged; a longer one is written to its file inside the pause. */
#define STAGE_TAIL_BYTES (1024 * 1024)

struct stage {
	uint8_t *memory; /* pages, then the tail */
	size_t page_bytes;
	size_t tail_bytes;
	bool holds_pages;
};

/* Room for at least page_count pages, within limits of its own, and for a tail. */
int stage_reserve(struct stage *stage, size_t page_count);
void stage_destroy(struct stage *stage);

/* Copies the pages a scan found. -E2BIG, and nothing is copied, when there is no room. */
int stage_pages(struct stage *stage, const struct capture *capture);
/* Reads all of a file of at most STAGE_TAIL_BYTES. */
int stage_tail(struct stage *stage, int fd, size_t bytes);

/* Writes the staged pages into the layer of the same capture, not scanned again since, and the tail into its file. */
int stage_write(const struct stage *stage, const struct capture *capture, int tail_fd);

#endif
