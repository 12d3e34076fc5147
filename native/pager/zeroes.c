#include "zeroes.h"

#include <stdbool.h>
#include <string.h>

static bool is_zero(const uint8_t *page)
{
	/* Each byte is the one before it, and the first is 0. */
	return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static const uint8_t *skip_pages(const uint8_t *from, const uint8_t *end, bool zero)
{
	while (from < end && is_zero(from) == zero)
		from += PAGE_BYTES;
	return from;
}

struct zeroes zeroes_first(const uint8_t *from, const uint8_t *end)
{
	while (from < end) {
		struct zeroes run = {.start = skip_pages(from, end, false)};

		run.end = skip_pages(run.start, end, true);
		if (run.end - run.start >= (ptrdiff_t)ZEROES_MIN_BYTES)
			return run;
		from = run.end;
	}
	return (struct zeroes){end, end};
}
