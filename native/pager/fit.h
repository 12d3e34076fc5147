/*
 * fit.h - keeps a new layer to as many runs as its children can map.
 *
 * Each run of a layer is a mapping of the child's, of which vm.max_map_count allows a process some ten thousand. A guest that
 * writes every second page makes more. So the smallest gaps between runs are filled with what lies below them: the layer grows,
 * what it means stays the same.
 *
 * What lies below is read from the files of the layers, never from RAM: the guest runs on, and may have written there since.
 */
#ifndef BOUGH_FIT_H
#define BOUGH_FIT_H

#include <stddef.h>

#include "ground.h"

/*
 * The layer, and its durable copy unless that is -1, stand on this ground. -E2BIG when that alone leaves no room for another
 * run.
 */
int fit_layer(const struct ground *ground, int layer_fd, int durable_fd);

#endif
