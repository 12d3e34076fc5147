#define _GNU_SOURCE
#include "ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer.h"

static int find_mapping(const char *marker, uint8_t **base, size_t *bytes)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t capacity = 0;
	int error = -ENOENT;

	if (!maps)
		return -errno;
	while (getline(&line, &capacity, maps) > 0) {
		unsigned long start, end;
		int path_at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &path_at) < 2 || !path_at)
			continue;
		if (strcmp(line + path_at, marker) != 0)
			continue;
		if (error == 0) {
			error = -EBUSY;
			break;
		}
		*base = (uint8_t *)start; /* the kernel's own word for where the mapping is */
		*bytes = end - start;
		error = 0;
	}
	free(line);
	fclose(maps);
	return error;
}

/*
 * What every part of RAM is to be, a layer's runs too: a mapping takes none of it over from the one it is laid upon.
 * Huge pages would make one written byte cost 2 MiB of layer; a core dump would hold the guest's secrets.
 */
static void advise(void *address, size_t bytes)
{
	madvise(address, bytes, MADV_NOHUGEPAGE);
	madvise(address, bytes, MADV_DONTDUMP);
	madvise(address, bytes, MADV_DONTFORK);
}

int ram_map(struct ram *ram, const char *marker)
{
	uint8_t *base = NULL;
	size_t bytes = 0;
	int error;

	if (ram->base)
		return -EALREADY;
	error = find_mapping(marker, &base, &bytes);
	if (error)
		return error;
	ram->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (ram->pagemap_fd < 0)
		return -errno;
	/* MAP_FIXED over a mapping QEMU owns: same range, same protection, and its vCPUs have not run yet. */
	if (mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
	    MAP_FAILED) {
		error = -errno;
		close(ram->pagemap_fd);
		return error;
	}
	advise(base, bytes);
	ram->base = base;
	ram->bytes = bytes;
	return 0;
}

static int remember_run(void *arg, uint64_t start, uint64_t end)
{
	struct ram *ram = arg;
	struct layer_run *grown = realloc(ram->layer_runs, (ram->layer_run_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	ram->layer_runs = grown;
	ram->layer_runs[ram->layer_run_count++] =
		(struct layer_run){.start = start, .end = end, .layer = ram->layer_count};
	return 0;
}

static int map_run(const struct ram *ram, const struct layer_run *run, int fd)
{
	uint8_t *address = ram->base + run->start;
	size_t bytes = run->end - run->start;

	if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 (off_t)run->start) == MAP_FAILED)
		return -errno;
	advise(address, bytes);
	return 0;
}

/* Mappings left for QEMU itself: threads, buffers, libraries. */
#define SPARE_MAPPINGS 4096

/* How many runs a process can map: each is a mapping, and cuts the one below it in two. */
static size_t max_runs(void)
{
	size_t limit = kernel_max_mappings();

	return limit > SPARE_MAPPINGS ? (limit - SPARE_MAPPINGS) / 2 : 0;
}

size_t ram_run_budget(const struct ram *ram, size_t below)
{
	size_t limit = max_runs(), runs = 0;

	for (size_t i = 0; i < ram->layer_run_count; i++)
		runs += ram->layer_runs[i].layer < below;
	return runs < limit ? (limit - runs) / 2 : 0;
}

static int remember_layer(struct ram *ram, int fd)
{
	int *grown = realloc(ram->layer_fds, (ram->layer_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	ram->layer_fds = grown;
	ram->layer_fds[ram->layer_count++] = fd;
	return 0;
}

/*
 * To find the runs the kernel looks at every page of a file in tmpfs: that is most of the time, so it is done once. Running out of mappings
 * half way would leave RAM half mapped, and QEMU without memory for itself, so all are known before the first is mapped.
 */
static int map_runs(struct ram *ram, int fd)
{
	size_t first = ram->layer_run_count;
	int error = layer_each_run(fd, remember_run, ram);

	if (!error && ram->layer_run_count > max_runs())
		error = -E2BIG;
	for (size_t i = first; i < ram->layer_run_count && !error; i++)
		error = map_run(ram, &ram->layer_runs[i], fd);
	if (!error)
		error = remember_layer(ram, fd);
	if (error)
		ram->layer_run_count = first;
	return error;
}

int ram_map_layer(struct ram *ram, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	int error;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) < 0)
		error = -errno;
	else if ((size_t)info.st_size != ram->bytes)
		error = -EINVAL;
	else
		error = map_runs(ram, fd);
	if (error)
		close(fd);
	return error;
}
