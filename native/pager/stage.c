#define _GNU_SOURCE
#include "stage.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layer.h"

/* The tail is read in pieces of this size, between which the deadline is looked at. */
#define PIECE_BYTES (256 * 1024)

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; newer than some headers */
#define MADV_POPULATE_WRITE 23
#endif

/* Huge pages where the kernel has some; any pages otherwise, one by one on a kernel that cannot be asked for all. */
static int fault_in(uint8_t *memory, size_t bytes)
{
	madvise(memory, bytes, MADV_HUGEPAGE);
	if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	memset(memory, 0, bytes);
	return 0;
}

static void unmap(struct stage *stage)
{
	if (stage->memory)
		munmap(stage->memory, stage->bytes);
	*stage = (struct stage){0};
}

int stage_reserve(struct stage *stage, size_t page_count)
{
	size_t bytes;
	int error;

	if (page_count < STAGE_MIN_PAGES)
		page_count = STAGE_MIN_PAGES;
	if (page_count > STAGE_MAX_PAGES)
		page_count = STAGE_MAX_PAGES;
	bytes = STAGE_TAIL_BYTES + page_count * PAGE_BYTES;
	if (bytes != stage->bytes) {
		void *memory;

		unmap(stage);
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return -errno;
		*stage = (struct stage){.memory = memory, .bytes = bytes};
	}
	error = fault_in(stage->memory, bytes);
	if (error) /* the next is not to meet the same memory */
		unmap(stage);
	return error;
}

void stage_release(struct stage *stage)
{
	stage->tail_bytes = stage->page_bytes = 0;
	if (stage->bytes != STAGE_LEAST_BYTES || madvise(stage->memory, stage->bytes, MADV_FREE))
		unmap(stage);
}

size_t stage_pages(struct stage *stage, const struct capture *capture, const struct window *pause)
{
	size_t room = stage->bytes - STAGE_TAIL_BYTES;

	stage->page_bytes = 0;
	for (size_t i = 0; i < capture->found.count && room > 0 && !window_expired(pause); i++) {
		const struct page_run *run = &capture->found.list[i];
		size_t bytes = run->end - run->start < room ? run->end - run->start : room;

		memcpy(stage->memory + STAGE_TAIL_BYTES + stage->page_bytes, (const void *)run->start, bytes);
		stage->page_bytes += bytes;
		room -= bytes;
	}
	return stage->page_bytes;
}

int stage_tail(struct stage *stage, int fd, size_t bytes, const struct window *pause)
{
	uint8_t *to = stage->memory;
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
	const uint8_t *from = stage->memory + STAGE_TAIL_BYTES, *end = from + stage->page_bytes;

	for (size_t i = 0; from < end; i++) {
		const struct page_run *run = &capture->found.list[i];
		size_t left = (size_t)(end - from), bytes = run->end - run->start < left ? run->end - run->start : left;
		int error = layer_write(capture->layer_fd, from, bytes, run->start - (uintptr_t)capture->ram->base);

		if (error)
			return error;
		from += bytes;
	}
	if (stage->tail_bytes == 0)
		return 0;
	return layer_write(tail_fd, stage->memory, stage->tail_bytes, 0);
}
