/*
 * check.h - assertions of the native tests: a failed CHECK prints where, what and the values, and ends the program.
 *
 * check_seed is printed with every failure, so that a run can be repeated. check_count counts what was asserted:
 * every program prints it at its end, so that a test which asserts nothing shows.
 */
#ifndef BOUGH_TEST_CHECK_H
#define BOUGH_TEST_CHECK_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern uint64_t check_seed;
extern _Atomic unsigned long check_count;

#define CHECK(condition, ...)                                                                                          \
	do {                                                                                                           \
		atomic_fetch_add_explicit(&check_count, 1, memory_order_relaxed);                                      \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: seed %llu: %s: ", __FILE__, __LINE__, (unsigned long long)check_seed, \
				#condition);                                                                           \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fputc('\n', stderr);                                                                           \
			_Exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/* splitmix64: every run of a test is a function of its seed. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

#endif
