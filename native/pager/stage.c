#define _GNU_SOURCE
#include "stage.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layer.h"

/* 2,048 pages take about a millisecond to copy; what is more is armed. */
#define STAGE_MAX_PAGES 2048
#define STAGE_MIN_PAGES 256

int stage_reserve(struct stage *stage, size_t page_count)
{
	if (page_count > STAGE_MAX_PAGES)
		page_count = STAGE_MAX_PAGES;
	if (page_count < STAGE_MIN_PAGES)
		page_count = STAGE_MIN_PAGES;
	stage->page_bytes = page_count * PAGE_BYTES;
	stage->memory = mmap(NULL, stage->page_bytes + STAGE_TAIL_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (stage->memory == MAP_FAILED) {
		stage->memory = NULL;
		return -errno;
	}
	return 0;
}

void stage_destroy(struct stage *stage)
{
	if (stage->memory)
		munmap(stage->memory, stage->page_bytes + STAGE_TAIL_BYTES);
}

int stage_pages(struct stage *stage, const struct capture *capture)
{
	uint8_t *to = stage->memory;

	if (capture->page_count * PAGE_BYTES > stage->page_bytes)
		return -E2BIG;
	for (size_t i = 0; i < capture->run_count; i++) {
		size_t bytes = capture->runs[i].end - capture->runs[i].start;
		memcpy(to, (const void *)capture->runs[i].start, bytes);
		to += bytes;
	}
	stage->holds_pages = true;
	return 0;
}

int stage_tail(struct stage *stage, int fd, size_t bytes)
{
	uint8_t *to = stage->memory + stage->page_bytes;
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(fd, to + done, bytes - done, (off_t)done);
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
	return layer_write(tail_fd, stage->memory + stage->page_bytes, stage->tail_bytes, 0);
}
