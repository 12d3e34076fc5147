/*
 * ground.h - what a new layer stands on: some of the mapped layers, and above them layers of earlier branches of this VM.
 *
 *      the new layer
 *      own layers       of earlier branches, not mapped here: RAM has what they hold as private pages
 *      mapped layers    the lowest of those below the private pages
 *
 * Invariant: above its mapped layers a stack never has more runs than a branch that stands on those alone might have, half of
 * what a process can map besides them. So a line of branches leaves its children as much room as a single one.
 */
#ifndef BOUGH_GROUND_H
#define BOUGH_GROUND_H

#include <stdbool.h>
#include <stddef.h>

#include "ram.h"

#define GROUND_MAX_OWN 64

struct ground {
	const struct ram *ram;
	size_t mapped; /* so many of the lowest mapped layers */
	int own_fds[GROUND_MAX_OWN]; /* bottom first */
	size_t own_count;
	size_t own_runs;
};

/* Nothing but mapped layers. */
void ground_lay(struct ground *ground, const struct ram *ram, size_t mapped);
/*
 * Lays layer files, bottom first, upon them; runs: of all of them together, 0 when that is not known. Then they are counted, which is a
 * look at every page of them. False, with none of them laid, when one cannot be used, or when they have so many
 * runs that a new layer would get less than half of the room there is.
 */
bool ground_lay_own(struct ground *ground, const char *const *paths, size_t count, size_t runs);
void ground_close(struct ground *ground);

/* How many runs a layer upon it may have; 0: none. */
size_t ground_run_budget(const struct ground *ground);
/* Every file of it in turn, bottom first; -1 after the last. */
int ground_layer_fd(const struct ground *ground, size_t index);

#endif
