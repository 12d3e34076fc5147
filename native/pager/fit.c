#define _GNU_SOURCE
#include "fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layer.h"

/* What is filled at a time. */
#define BLOCK_BYTES 65536

struct gap {
	uint64_t start;
	uint64_t end;
};

/* The gaps between the runs of a layer; what lies before the first and after the last is none. */
struct gaps {
	struct gap *list;
	size_t count;
	size_t capacity;
	bool any_run;
	uint64_t last_end;
};

static int note_gap_before(void *arg, uint64_t start, uint64_t end)
{
	struct gaps *gaps = arg;

	if (gaps->any_run && gaps->count == gaps->capacity) {
		size_t capacity = gaps->capacity ? gaps->capacity * 2 : 1024;
		struct gap *grown = realloc(gaps->list, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		gaps->list = grown;
		gaps->capacity = capacity;
	}
	if (gaps->any_run)
		gaps->list[gaps->count++] = (struct gap){.start = gaps->last_end, .end = start};
	gaps->any_run = true;
	gaps->last_end = end;
	return 0;
}

static int smaller_first(const void *a, const void *b)
{
	const struct gap *one = a, *other = b;
	uint64_t one_bytes = one->end - one->start, other_bytes = other->end - other->start;

	if (one_bytes != other_bytes)
		return one_bytes < other_bytes ? -1 : 1;
	return one->start < other->start ? -1 : one->start > other->start;
}

/* Reads what the file holds of [start, end) over what block holds; its holes change nothing. */
static int read_data(int fd, uint64_t start, uint64_t end, char *block)
{
	for (uint64_t at = start; at < end;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno; /* ENXIO: no data from here to the end */
		if ((uint64_t)data >= end)
			return 0;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		at = (uint64_t)hole < end ? (uint64_t)hole : end;
		while ((uint64_t)data < at) {
			ssize_t got = pread(fd, block + ((uint64_t)data - start), at - (uint64_t)data, data);

			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return got < 0 ? -errno : -EIO;
			data += got;
		}
	}
	return 0;
}

static int fill_gap(const struct ground *ground, int layer_fd, const struct gap *gap)
{
	char block[BLOCK_BYTES];

	for (uint64_t start = gap->start; start < gap->end; start += BLOCK_BYTES) {
		uint64_t end = gap->end - start < BLOCK_BYTES ? gap->end : start + BLOCK_BYTES;
		int error = 0, fd;

		memset(block, 0, end - start);
		for (size_t i = 0; (fd = ground_layer_fd(ground, i)) >= 0 && !error; i++)
			error = read_data(fd, start, end, block);
		if (!error)
			error = layer_write(layer_fd, block, end - start, start);
		if (error)
			return error;
	}
	return 0;
}

static int fill(const struct ground *ground, int layer_fd, const struct gap *gaps, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = fill_gap(ground, layer_fd, &gaps[i]);
	return error;
}

/* The copy was durable when the guest ran on, and is to be so again. */
static int fill_durably(const struct ground *ground, int durable_fd, const struct gap *gaps, size_t count)
{
	int error = fill(ground, durable_fd, gaps, count);

	return !error && fsync(durable_fd) < 0 ? -errno : error;
}

int fit_layer(const struct ground *ground, int layer_fd, int durable_fd)
{
	struct gaps gaps = {.list = NULL};
	size_t budget = ground_run_budget(ground), runs, surplus;
	int error = layer_each_run(layer_fd, note_gap_before, &gaps);

	runs = gaps.count + gaps.any_run;
	surplus = runs > budget ? runs - budget : 0;
	if (!error && surplus > gaps.count)
		error = -E2BIG;
	if (!error && surplus > 0) {
		qsort(gaps.list, gaps.count, sizeof(*gaps.list), smaller_first);
		error = fill(ground, layer_fd, gaps.list, surplus);
		if (!error && durable_fd >= 0)
			error = fill_durably(ground, durable_fd, gaps.list, surplus);
	}
	free(gaps.list);
	return error;
}
