/*
 * stage.h - memory faulted in before the pause, into which the pause copies what the guest running again would change.
 *
 * Allocation is what a pause must not pay for: a copy into memory that is there costs a few tenths of a microsecond a
 * page, into memory that is not, twenty times as much. Huge pages make it there ten times as fast; but on a host that is a
 * virtual machine and gives free memory back to its hypervisor, each was seen to take 10 ms. So a stage of the least size stays
 * between branches, for the kernel to take when memory is short.
 */
#ifndef BOUGH_STAGE_H
#define BOUGH_STAGE_H

#include <stdint.h>

#include "capture.h"

/*
 * What is staged at least and at most. 2,048 pages take about a millisecond to copy, and as many bytes of a disk about as long.
 * Pages that lie scattered can only be copied, and the layer is three times as dear as the stage: hence the 64 MiB.
 */
#define STAGE_MIN_PAGES 2048
#define STAGE_MAX_PAGES 16384
#define STAGE_TAIL_BYTES (4 * 1024 * 1024)
#define STAGE_LEAST_BYTES (STAGE_TAIL_BYTES + STAGE_MIN_PAGES * PAGE_BYTES)

struct stage {
	uint8_t *memory; /* room for the tail, then pages */
	size_t bytes;
	size_t tail_bytes;
	size_t page_bytes; /* so many of the first bytes that the capture found are held */
};

/* Room for page_count pages, within the limits above, and for a tail. stage_release() is due also after a failure. */
int stage_reserve(struct stage *stage, size_t page_count);
/* Nothing is staged then; harmless where nothing was reserved. */
void stage_release(struct stage *stage);

/* Copies the pages a scan found, the first of them, as many as there is room and time for; how many bytes that are. */
size_t stage_pages(struct stage *stage, const struct capture *capture, const struct window *pause);
/* Reads all of a file of at most STAGE_TAIL_BYTES; -ETIMEDOUT at the window's deadline. */
int stage_tail(struct stage *stage, int fd, size_t bytes, const struct window *pause);

/* Writes the staged pages into the layer of the same capture, not scanned again since, and the tail into its file. */
int stage_write(const struct stage *stage, const struct capture *capture, int tail_fd);

#endif
