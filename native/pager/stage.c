#define _GNU_SOURCE
#include "stage.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layer.h"

#define STAGE_BYTES (STAGE_PAGES * PAGE_BYTES + STAGE_TAIL_BYTES)
/* The tail is read in pieces of this size, between which the deadline is looked at. */
#define PIECE_BYTES (256 * 1024)

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; newer than some headers */
#define MADV_POPULATE_WRITE 23
#endif

/* Huge pages where the kernel has some; any pages otherwise, one by one on a kernel that cannot be asked for all. */
static int fault_in(uint8_t *memory)
{
	madvise(memory, STAGE_BYTES, MADV_HUGEPAGE);
	if (madvise(memory, STAGE_BYTES, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	memset(memory, 0, STAGE_BYTES);
	return 0;
}

int stage_reserve(struct stage *stage)
{
	void *memory = mmap(NULL, STAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	stage->memory = memory;
	return fault_in(memory);
}

void stage_destroy(struct stage *stage)
{
	if (stage->memory)
		munmap(stage->memory, STAGE_BYTES);
}

int stage_pages(struct stage *stage, const struct capture *capture)
{
	uint8_t *to = stage->memory;

	if (capture->page_count > STAGE_PAGES)
		return -E2BIG;
	for (size_t i = 0; i < capture->run_count; i++) {
		size_t bytes = capture->runs[i].end - capture->runs[i].start;
		memcpy(to, (const void *)capture->runs[i].start, bytes);
		to += bytes;
	}
	stage->holds_pages = true;
	return 0;
}

int stage_tail(struct stage *stage, int fd, size_t bytes, const struct window *pause)
{
	uint8_t *to = stage->memory + STAGE_PAGES * PAGE_BYTES;
	size_t done = 0;

	while (done < bytes) {
		size_t want = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
		ssize_t got;

		if (window_expired(pause))
			return -ETIMEDOUT;
		got = pread(fd, to + done, want, (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	stage->tail_bytes = done;
	return 0;
}

int stage_write(const struct stage *stage, const struct capture *capture, int tail_fd)
{
	const uint8_t *from = stage->memory;

	for (size_t i = 0; stage->holds_pages && i < capture->run_count; i++) {
		const struct page_run *run = &capture->runs[i];
		size_t bytes = run->end - run->start;
		int error = layer_write(capture->layer_fd, from, bytes, run->start - (uintptr_t)capture->ram->base);

		if (error)
			return error;
		from += bytes;
	}
	if (stage->tail_bytes == 0)
		return 0;
	return layer_write(tail_fd, stage->memory + STAGE_PAGES * PAGE_BYTES, stage->tail_bytes, 0);
}
