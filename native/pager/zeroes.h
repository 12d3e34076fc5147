/*
 * zeroes.h - where memory holds nothing but zeroes: pages that a layer standing on nothing need not hold.
 *
 * A run left out saves its bytes, and cuts the run around it in two: one more mapping for every child. So only runs that are
 * worth a mapping count.
 *
 * Not handled: memory that changes meanwhile; a page may be written to right after it was looked at.
 */
#ifndef BOUGH_ZEROES_H
#define BOUGH_ZEROES_H

#include <stdint.h>

#include "kernel.h"

/* The shortest run that counts: of what boot leaves in zeroes, 93 percent lies in such runs, and 13 percent of the runs do. */
#define ZEROES_MIN_BYTES (8 * PAGE_BYTES)

struct zeroes {
	const uint8_t *start;
	const uint8_t *end;
};

/* The first run in [from, end), both at pages; an empty one at the end where there is none. */
struct zeroes zeroes_first(const uint8_t *from, const uint8_t *end);

#endif
