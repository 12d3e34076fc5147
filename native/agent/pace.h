/*
 * How often what a program prints is read. The agent runs before all programs, so without this each small write would wake it, to be read
 * and sent alone. After a short piece the next one waits a moment, and all that is printed meanwhile comes with it; the first after a
 * quiet time is read at once, and so is what is left at a program's end.
 */
#ifndef AGENT_PACE_H
#define AGENT_PACE_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"

struct pace {
	struct timer timer;
	size_t full_bytes; /* what comes at once where more is waiting */
	bool rests; /* nothing is to be read now */
	void (*rested)(struct pace *pace);
};

void pace_open(struct pace *pace, size_t full_bytes, void (*rested)(struct pace *pace));

/* So many bytes were read of those that were asked for. */
void pace_took(struct pace *pace, size_t bytes, size_t asked);

/* Before its memory goes. */
void pace_close(struct pace *pace);

#endif
