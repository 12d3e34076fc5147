/*
 * ram.h - the guest's RAM as the pager arranges it: layers under private pages.
 *
 *      private pages     what the guest wrote since           (anonymous, this process only)
 *      layer n           runs of an immutable file            (MAP_PRIVATE, shared with every other child)
 *      ...
 *      layer 0
 *      zero              private anonymous mapping
 *
 * QEMU is started with its RAM in a marker file; ram_map() finds that one mapping by the marker's name and lays
 * the stack over it at the same addresses. Offsets are offsets in that mapping, never guest-physical addresses.
 * Invariant: layer files are opened read-only and only runs that hold data are mapped, so nothing the guest does
 * reaches or grows a layer.
 */
#ifndef BOUGH_RAM_H
#define BOUGH_RAM_H

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

/* A run of a mapped layer, as offsets in RAM; layers count from the bottom. */
struct layer_run {
	uint64_t start;
	uint64_t end;
	size_t layer;
};

struct ram {
	uint8_t *base;
	size_t bytes;
	int pagemap_fd;
	struct layer_run *layer_runs; /* the runs of all layers, bottom layer first; those of different layers may overlap */
	size_t layer_run_count;
	int *layer_fds; /* one a layer, bottom first */
	size_t layer_count;
};

/*
 * Finds the mapping of marker and lays anonymous memory over it. -ENOENT without such a mapping, -EBUSY when there
 * is more than one, -EALREADY when RAM is mapped already. Whatever the mapping held is gone.
 */
int ram_map(struct ram *ram, const char *marker);

/*
 * Maps the data of one layer file over what is there. -EINVAL when its size is not that of RAM; -E2BIG, with nothing
 * mapped, when its runs could be more mappings than vm.max_map_count allows this process.
 */
int ram_map_layer(struct ram *ram, const char *path);

/*
 * How many runs a new layer that stands on the lowest `below` of these may have: half of what a process can map besides them,
 * so that the children of its children find room too. 0: none.
 */
size_t ram_run_budget(const struct ram *ram, size_t below);

#endif
