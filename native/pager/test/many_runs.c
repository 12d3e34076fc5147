/*
 * many_runs.c - a guest that writes every second page: its layers stay mappable, generation after generation, and exact.
 *
 * The kernel is made to allow few mappings (BOUGH_TEST_MAX_MAPPINGS); a VMM maps at most MAX_RUNS runs with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../zeroes.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define RAM_BYTES (16ul * 1024 * 1024)
#define SPARE_MAPPINGS 4096 /* ram.c's, for QEMU itself */
#define MAX_RUNS 300

static void allow_runs(unsigned runs)
{
	char mappings[24];

	snprintf(mappings, sizeof(mappings), "%u", SPARE_MAPPINGS + 2 * runs);
	setenv("BOUGH_TEST_MAX_MAPPINGS", mappings, 1);
}

/* Every second page in some stretches, every third in others: gaps of two sizes. */
static void write_scattered(struct vmm *vmm)
{
	for (size_t page = vmm->depth % 2; page < vmm->machine.page_count; page += page / 512 % 2 ? 2 : 3)
		machine_write_page(&vmm->machine, page, page + vmm->depth);
}

static void check_branch(struct vmm *vmm, const struct branch_plan *plan, size_t most_runs)
{
	write_scattered(vmm);
	struct branch_outcome outcome = vmm_branch(vmm, plan);
	CHECK(outcome.ok, "%s: errno %d, %s", plan->mode, outcome.error, outcome.operation);
	CHECK(outcome.run_count <= most_runs, "%s: %zu runs of %zu", plan->mode, outcome.run_count, most_runs);
	tally->filled++;
}

static struct branch_outcome go_on(struct vmm *vmm, const char *since, const char *name)
{
	struct branch_plan plan = {.mode = "live", .fills = true, .deadline_ms = 20000, .since = since, .name = name};
	struct branch_outcome outcome = vmm_branch(vmm, &plan);

	CHECK(outcome.ok, "%s: errno %d, %s", name, outcome.error, outcome.operation);
	vmm_go_on_from(vmm, &plan);
	return outcome;
}

/*
 * A line of branches has together as much room as one branch, and one that would get less than half of it begins anew. What gaps
 * are filled with is the line's as well.
 */
static void check_line(struct vmm *vmm)
{
	for (size_t page = 0; page < 40 * 64; page += 64)
		machine_write_page(&vmm->machine, page, page);
	struct branch_outcome first = go_on(vmm, "none", "one");
	CHECK(first.run_count >= 40 && first.run_count <= MAX_RUNS / 4, "%zu runs", first.run_count);
	write_scattered(vmm);
	struct branch_outcome second = go_on(vmm, "one", "two");
	if (vmm->tracking != ON_ASYNC)
		return;
	CHECK(second.went_on && second.run_count == MAX_RUNS / 2 - first.run_count, "went on: %d, %zu runs", second.went_on, second.run_count);
	tally->filled++;
	machine_write_page(&vmm->machine, 0, 1);
	CHECK(!go_on(vmm, "two", "three").went_on, "goes on without room");
}

/* Half of each 16 pages is zeroes, a run that a layer on nothing leaves out: more of them than can be mapped. */
static void check_zeroes(struct vmm *vmm)
{
	static const struct branch_plan plan = {.mode = "full", .durable = true, .deadline_ms = 20000};

	for (size_t page = 0; page < vmm->machine.page_count; page++) {
		machine_write_page(&vmm->machine, page, page);
		if (page % 16 < ZEROES_MIN_BYTES / MACHINE_PAGE)
			machine_zero_page(&vmm->machine, page);
	}
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(outcome.run_count == MAX_RUNS / 2, "%zu runs", outcome.run_count);
	vmm_forget(vmm);
}

static void check_refused(struct vmm *vmm, const struct branch_plan *plan)
{
	struct branch_outcome outcome = vmm_branch(vmm, plan);

	CHECK(outcome.error == E2BIG && strstr(outcome.operation, "vm.max_map_count"), "errno %d, %s", outcome.error,
	      outcome.operation);
	vmm_forget(vmm);
}

void scenario_many_runs(const char *dir, uint64_t seed, size_t depth)
{
	static const struct branch_plan plans[] = {
		{.mode = "live", .fills = true, .deadline_ms = 20000},
		{.mode = "live", .tracking = "sync", .fills = true, .deadline_ms = 20000},
		{.mode = "full", .fills = true, .deadline_ms = 20000},
		{.mode = "diff", .fills = true, .durable = true, .deadline_ms = 20000},
	};
	static struct vmm vmm; /* its threads outlive this function */
	size_t left = MAX_RUNS;

	/* Each generation leaves half of what it found to those after it. */
	for (size_t i = 0; i < depth; i++)
		left -= left / 2;
	allow_runs(MAX_RUNS);
	vmm_start_idle(&vmm, dir, seed, depth, RAM_BYTES);
	if (depth == 0)
		check_line(&vmm);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		check_branch(&vmm, &plans[i], strcmp(plans[i].mode, "full") == 0 ? MAX_RUNS / 2 : left / 2);
		if (i + 1 < sizeof(plans) / sizeof(plans[0]))
			vmm_forget(&vmm);
	}
	vmm_keep(&vmm, &plans[3]);
	check_zeroes(&vmm);
	allow_runs(0);
	check_refused(&vmm, &plans[0]);
	allow_runs(MAX_RUNS);
	vmm_check_alive(&vmm);
}
