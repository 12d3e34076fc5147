/*
 * layer.h - writing a memory layer: a sparse file whose offsets are RAM offsets.
 *
 * Pages go in by pwrite(), straight from guest memory: a full store then is an errno and not a SIGBUS, and a page
 * that was written once costs only the copy when it is written again.
 */
#ifndef BOUGH_LAYER_H
#define BOUGH_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "window.h"

/*
 * Creates the file with the logical size of RAM and no data, or takes an empty one that is there, as whoever may not write to its folder is
 * given (-EEXIST for any other). -EOPNOTSUPP where the file system does not keep single pages apart.
 */
int layer_create(const char *path, size_t ram_bytes, int *fd);

/* Writes all of bytes at offset. */
int layer_write(int fd, const void *from, size_t bytes, uint64_t offset);

/*
 * Calls each() for every run of data in the file, in order; end is exclusive. A non-zero return of each() ends the
 * walk and is returned.
 */
int layer_each_run(int fd, int (*each)(void *arg, uint64_t start, uint64_t end), void *arg);

/* Adds how many runs of data the file has. */
int layer_count_runs(int fd, size_t *count);

/* Copies the data of one open file, holes left out, into another of the same size; -ETIMEDOUT at the window's deadline. */
int layer_copy(int from_fd, int to_fd, const struct window *pause);

/*
 * The runs that hold data, as text "offset:length,offset:length,..." in hexadecimal, and their total in bytes.
 * The caller frees *text.
 */
int layer_runs(int fd, char **text, uint64_t *data_bytes);

#endif
