#define _GNU_SOURCE
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../test/check.h"

#define PAGE 4096ul

static int open_layer(const char *layer, size_t ram_bytes)
{
	struct stat info;
	int fd = open(layer, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && fstat(fd, &info) == 0, "%s: errno %d", layer, errno);
	CHECK((size_t)info.st_size == ram_bytes, "%s: %lld bytes", layer, (long long)info.st_size);
	return fd;
}

uint64_t stack_apply(const char *layer, uint8_t *ram, size_t ram_bytes)
{
	int fd = open_layer(layer, ram_bytes);
	uint64_t bytes = 0;
	off_t data, hole = 0;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		CHECK(pread(fd, ram + data, (size_t)(hole - data), data) == hole - data, "errno %d", errno);
		bytes += (uint64_t)(hole - data);
	}
	close(fd);
	return bytes;
}

void stack_check_runs(const char *layer, const char *runs, size_t ram_bytes)
{
	int fd = open_layer(layer, ram_bytes);
	off_t data, hole = 0;
	const char *at = runs;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		char *end;
		hole = lseek(fd, data, SEEK_HOLE);
		CHECK((off_t)strtoull(at, &end, 16) == data && *end == ':', "run at %llx: %.40s", (long long)data, at);
		CHECK((off_t)strtoull(end + 1, &end, 16) == hole - data, "run at %llx: %.40s", (long long)data, at);
		at = *end == ',' ? end + 1 : end;
	}
	CHECK(*at == '\0', "runs the layer does not hold: %.40s", at);
	close(fd);
}

void stack_check_pages(const char *layer, const uint8_t *allowed, size_t page_count)
{
	int fd = open_layer(layer, page_count * PAGE);
	off_t data, hole = 0;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		for (off_t at = data; at < hole; at += (off_t)PAGE)
			CHECK(allowed[at / (off_t)PAGE], "page %lld is in the layer, and nobody wrote it",
			      (long long)at / (long long)PAGE);
	}
	close(fd);
}

void stack_compare(const uint8_t *got, const uint8_t *expected, size_t bytes, const char *what)
{
	size_t different = 0, first = 0;

	if (memcmp(got, expected, bytes) != 0) {
		for (size_t at = 0; at < bytes; at += PAGE) {
			size_t length = bytes - at < PAGE ? bytes - at : PAGE;
			if (memcmp(got + at, expected + at, length) == 0)
				continue;
			first = different == 0 ? at / PAGE : first;
			different++;
		}
	}
	CHECK(different == 0, "%s: %zu pages differ, the first is %zu", what, different, first);
}
