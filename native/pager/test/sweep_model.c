/*
 * sweep_model.c - the page state machine against a naive model, under seeded random interleavings.
 *
 * Sweep, fault handlers and guest writers are fibers on one thread; every callback of the port and, in the fine
 * half of the seeds, every atomic operation inside sweep.c is a point where another fiber may go on. So each
 * interleaving is a function of its seed and can be repeated: SWEEP_FIRST_SEED=n SWEEP_SEEDS=1.
 *
 * The model is one flag per page (protected), and a copy of memory made at the instant. It asserts: the layer
 * equals memory at the instant; a page is copied once; protection is lifted only after the copy; the fault path
 * waits for nothing but its own page; failing copies let everybody go and the first error is reported.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include "../../test/check.h"

static void point(void);

/* The atomic operations of sweep.c, as scheduling points. */
#undef atomic_compare_exchange_strong
#undef atomic_load_explicit
#undef atomic_store_explicit
#define atomic_compare_exchange_strong(at, expected, desired)                                                         \
	(point(), atomic_compare_exchange_strong_explicit(at, expected, desired, memory_order_seq_cst,                 \
							  memory_order_seq_cst))
#define atomic_load_explicit(at, order) (point(), __atomic_load_n(at, order))
#define atomic_store_explicit(at, value, order) (point(), __atomic_store_n(at, value, order))

#ifndef SWEEP_SOURCE
#define SWEEP_SOURCE "../sweep.c"
#endif
#include SWEEP_SOURCE

#define MAX_PAGES 300
#define MAX_FIBERS 16
#define STACK_BYTES (64 * 1024)
#define MAX_STEPS 4000000

uint64_t check_seed;
_Atomic unsigned long check_count;

enum role { SWEEP, HANDLER, WRITER };

struct fiber {
	ucontext_t context;
	enum role role;
	unsigned weight; /* how often it is chosen */
	bool done;
	size_t page; /* what a handler serves */
};

struct page {
	uint32_t halves[2];
};

static struct {
	struct sweep sweep;
	struct page memory[MAX_PAGES], instant[MAX_PAGES], layer[MAX_PAGES];
	bool captured[MAX_PAGES], protected[MAX_PAGES], read_whole[MAX_PAGES], failing[MAX_PAGES];
	unsigned copies[MAX_PAGES];
	size_t page_count;
	size_t faults[MAX_FIBERS * 64]; /* a queue: page numbers, in the order of the writes */
	size_t fault_head, fault_tail;
	struct fiber fibers[MAX_FIBERS];
	size_t fiber_count, writers_left;
	ucontext_t scheduler;
	struct fiber *current;
	uint64_t random;
	bool fine; /* atomic operations are scheduling points too */
	bool swept;
	int first_error;
	unsigned long steps, relaxed;
} model;

static char stacks[MAX_FIBERS][STACK_BYTES];

static void yield(void)
{
	swapcontext(&model.current->context, &model.scheduler);
}

static void point(void)
{
	if (model.current && model.fine)
		yield();
}

static int copy(void *arg, size_t page)
{
	(void)arg;
	CHECK(model.captured[page], "page %zu is outside the capture", page);
	CHECK(model.copies[page]++ == 0, "page %zu is copied again", page);
	yield();
	model.layer[page].halves[0] = model.memory[page].halves[0];
	yield();
	if (model.failing[page]) {
		int error = -(int)(page + 1);
		model.first_error = model.first_error ? model.first_error : error;
		model.read_whole[page] = true;
		return error;
	}
	model.layer[page].halves[1] = model.memory[page].halves[1];
	model.read_whole[page] = true;
	return 0;
}

static void release(void *arg, size_t first_page, size_t page_count)
{
	(void)arg;
	yield();
	CHECK(page_count > 0 && first_page + page_count <= model.page_count, "run %zu+%zu", first_page, page_count);
	for (size_t page = first_page; page < first_page + page_count; page++) {
		CHECK(model.read_whole[page], "page %zu is released before it is copied", page);
		model.protected[page] = false;
	}
}

static void relax(void *arg)
{
	(void)arg;
	model.relaxed++;
	if (model.current->role == HANDLER)
		CHECK(model.sweep.states[model.current->page] == COPYING, "a fault on page %zu waits for another page",
		      model.current->page);
	yield();
}

static void sweep_body(void)
{
	yield();
	sweep_run(&model.sweep);
	for (size_t page = 0; page < model.page_count; page++)
		CHECK(!model.captured[page] || model.read_whole[page], "the sweep ended before page %zu", page);
	model.swept = true;
}

static void handler_body(void)
{
	struct fiber *self = model.current;

	while (!model.swept || model.writers_left > 0 || model.fault_head < model.fault_tail) {
		if (model.fault_head == model.fault_tail) {
			yield();
			continue;
		}
		self->page = model.faults[model.fault_head++];
		sweep_fault(&model.sweep, self->page);
		CHECK(!model.protected[self->page], "page %zu is protected after its fault", self->page);
	}
}

static void writer_body(void)
{
	size_t writes = 1 + random_below(&model.random, 24);

	while (writes-- > 0) {
		size_t page = random_below(&model.random, model.page_count);
		yield();
		if (model.protected[page]) {
			model.faults[model.fault_tail++] = page;
			while (model.protected[page])
				yield();
		}
		model.memory[page].halves[0] = (uint32_t)random_next(&model.random);
		yield();
		model.memory[page].halves[1] = (uint32_t)random_next(&model.random);
	}
	model.writers_left--;
}

static void run_fiber(void)
{
	struct fiber *self = model.current;

	if (self->role == SWEEP)
		sweep_body();
	else if (self->role == HANDLER)
		handler_body();
	else
		writer_body();
	self->done = true;
	yield();
}

static void add_fiber(enum role role)
{
	struct fiber *fiber = &model.fibers[model.fiber_count];

	fiber->role = role;
	fiber->weight = 1u << random_below(&model.random, 5);
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = stacks[model.fiber_count];
	fiber->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&fiber->context, run_fiber, 0);
	model.fiber_count++;
}

/* Runs fibers in random order until all are done. */
static void schedule(void)
{
	for (;;) {
		unsigned long total = 0;
		for (size_t i = 0; i < model.fiber_count; i++)
			total += model.fibers[i].done ? 0 : model.fibers[i].weight;
		if (total == 0)
			return;
		CHECK(model.steps++ < MAX_STEPS, "somebody waits for ever: swept=%d writers=%zu", model.swept,
		      model.writers_left);
		uint64_t ticket = random_below(&model.random, total);
		struct fiber *next = model.fibers;
		while (next->done || ticket >= next->weight) {
			ticket -= next->done ? 0 : next->weight;
			next++;
		}
		model.current = next;
		swapcontext(&model.scheduler, &next->context);
		model.current = NULL;
	}
}

static void set_up(uint64_t seed)
{
	struct sweep_port port = {.copy = copy, .release = release, .relax = relax, .arg = NULL};

	memset(&model, 0, sizeof(model));
	model.random = check_seed = seed;
	model.fine = seed & 1;
	model.page_count = 1 + random_below(&model.random, seed % 16 == 0 ? MAX_PAGES : 12);
	CHECK(sweep_init(&model.sweep, model.page_count, port) == 0, "no memory");
	uint64_t outside = random_below(&model.random, 3), failing = random_below(&model.random, 4);
	for (size_t page = 0; page < model.page_count; page++) {
		model.memory[page].halves[0] = (uint32_t)random_next(&model.random);
		model.memory[page].halves[1] = (uint32_t)random_next(&model.random);
		model.captured[page] = outside == 0 || random_below(&model.random, 4) != 0;
		model.failing[page] = failing == 0 && random_below(&model.random, 4) == 0;
		if (model.captured[page]) {
			sweep_add(&model.sweep, page, 1);
			model.protected[page] = true;
		}
	}
	memcpy(model.instant, model.memory, sizeof(model.memory));
	add_fiber(SWEEP);
	for (uint64_t i = 2 + random_below(&model.random, 2); i > 0; i--)
		add_fiber(HANDLER);
	for (model.writers_left = 0; model.writers_left < seed % 5; model.writers_left++)
		add_fiber(WRITER);
}

static void check_end(void)
{
	bool failed = model.first_error != 0;
	int error = sweep_error(&model.sweep);

	for (size_t page = 0; page < model.page_count; page++) {
		CHECK(!model.protected[page], "page %zu stays protected", page);
		CHECK(model.copies[page] == (model.captured[page] ? 1 : 0), "page %zu: %u copies", page,
		      model.copies[page]);
		if (model.captured[page] && !model.failing[page])
			CHECK(memcmp(&model.layer[page], &model.instant[page], sizeof(struct page)) == 0,
			      "page %zu is not of the instant", page);
	}
	CHECK((error != 0) == failed, "error %d, first failure %d", error, model.first_error);
	/* With atomic operations as scheduling points, two failures may swap places between copy and report. */
	if (!model.fine)
		CHECK(error == model.first_error, "error %d, first failure %d", error, model.first_error);
	else if (failed)
		CHECK(model.failing[-error - 1], "error %d is no failure's", error);
	sweep_destroy(&model.sweep);
}

static uint64_t setting(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : fallback;
}

int main(void)
{
	uint64_t first = setting("SWEEP_FIRST_SEED", 1), seeds = setting("SWEEP_SEEDS", 10000);
	unsigned long steps = 0, relaxed = 0, faults = 0, failures = 0;

	for (uint64_t seed = first; seed < first + seeds; seed++) {
		set_up(seed);
		schedule();
		faults += model.sweep.fault_count;
		failures += model.first_error != 0;
		check_end();
		steps += model.steps;
		relaxed += model.relaxed;
	}
	CHECK(seeds < 100 || (faults > 0 && relaxed > 0 && failures > 0), "nothing happened");
	printf("sweep_model: seeds %llu..%llu: %lu steps, %lu pages copied by a fault, %lu waits, %lu seeds with failing "
	       "copies, %lu checks\n",
	       (unsigned long long)first, (unsigned long long)(first + seeds - 1), steps, faults, relaxed, failures,
	       check_count);
	return 0;
}
