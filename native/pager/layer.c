#define _GNU_SOURCE
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"

/*
 * Whether one page written is one page of data. On tmpfs with huge=, or where blocks are larger than pages, the pages
 * around it would count as data too, and as a layer's they would hide what the layers below hold.
 */
static int check_page_data(int fd)
{
	static const char page[PAGE_BYTES];
	off_t at = PAGE_BYTES;
	int error = layer_write(fd, page, PAGE_BYTES, PAGE_BYTES);

	if (error)
		return error;
	if (lseek(fd, 0, SEEK_DATA) != at || lseek(fd, at, SEEK_HOLE) != at + (off_t)PAGE_BYTES)
		return -EOPNOTSUPP;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)PAGE_BYTES) < 0)
		return -errno;
	return 0;
}

static int open_given(const char *path, int *fd)
{
	struct stat info;
	int error = 0;

	*fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (fstat(*fd, &info) < 0)
		error = -errno;
	else if (!S_ISREG(info.st_mode) || info.st_size != 0)
		error = -EEXIST;
	if (error)
		close(*fd);
	return error;
}

static int open_new(const char *path, int *fd)
{
	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	return errno == EEXIST ? open_given(path, fd) : -errno;
}

int layer_create(const char *path, size_t ram_bytes, int *fd)
{
	int opened;
	int error = open_new(path, &opened);

	if (error)
		return error;
	if (ftruncate(opened, (off_t)ram_bytes) < 0)
		error = -errno;
	else if (ram_bytes > 2 * PAGE_BYTES)
		error = check_page_data(opened);
	if (error) {
		close(opened);
		return error;
	}
	*fd = opened;
	return 0;
}

int layer_write(int fd, const void *from, size_t bytes, uint64_t offset)
{
	const char *at = from;

	while (bytes > 0) {
		ssize_t written = pwrite(fd, at, bytes, (off_t)offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		at += written;
		offset += (uint64_t)written;
		bytes -= (size_t)written;
	}
	return 0;
}

int layer_each_run(int fd, int (*each)(void *arg, uint64_t start, uint64_t end), void *arg)
{
	off_t at = 0;

	for (;;) {
		off_t data = lseek(fd, at, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno; /* ENXIO: no data from here to the end */
		at = lseek(fd, data, SEEK_HOLE);
		if (at < 0)
			return -errno;
		int error = each(arg, (uint64_t)data, (uint64_t)at);
		if (error)
			return error;
	}
}

static int count_run(void *arg, uint64_t start, uint64_t end)
{
	size_t *count = arg;

	(void)start;
	(void)end;
	++*count;
	return 0;
}

int layer_count_runs(int fd, size_t *count)
{
	return layer_each_run(fd, count_run, count);
}

struct copy {
	int from_fd;
	int to_fd;
	const struct window *pause;
};

static int copy_run(void *arg, uint64_t start, uint64_t end)
{
	const struct copy *copy = arg;
	char block[65536];

	while (start < end) {
		size_t want = (size_t)(end - start) < sizeof(block) ? (size_t)(end - start) : sizeof(block);
		ssize_t got;

		if (window_expired(copy->pause))
			return -ETIMEDOUT;
		got = pread(copy->from_fd, block, want, (off_t)start);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		int error = layer_write(copy->to_fd, block, (size_t)got, start);
		if (error)
			return error;
		start += (uint64_t)got;
	}
	return 0;
}

int layer_copy(int from_fd, int to_fd, const struct window *pause)
{
	struct copy copy = {.from_fd = from_fd, .to_fd = to_fd, .pause = pause};
	return layer_each_run(from_fd, copy_run, &copy);
}

struct listing {
	FILE *text;
	uint64_t data_bytes;
};

static int list_run(void *arg, uint64_t start, uint64_t end)
{
	struct listing *listing = arg;

	fprintf(listing->text, "%s%" PRIx64 ":%" PRIx64, listing->data_bytes ? "," : "", start,
		end - start);
	listing->data_bytes += end - start;
	return 0;
}

int layer_runs(int fd, char **text, uint64_t *data_bytes)
{
	struct listing listing = {.data_bytes = 0};
	size_t length;
	int error;

	listing.text = open_memstream(text, &length);
	if (!listing.text)
		return -errno;
	error = layer_each_run(fd, list_run, &listing);
	if (fclose(listing.text) != 0 && !error)
		error = -ENOMEM;
	if (error) {
		free(*text);
		*text = NULL;
	}
	*data_bytes = listing.data_bytes;
	return error;
}
