/*
 * injected.c - every call the pager makes in a branch fails once: n = 1, 2, ... until a branch gets by untouched.
 *
 * Whatever fails: the machine runs, no protection holds a writer, and the next branch is exact. A branch that says
 * ok in spite of a failure is compared like any other. Interrupted and short calls may not even be noticed.
 */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_vmm.h"
#include "faulty.h"

#define BEFORE "before"

/* A branch for another to go on from, and something to find since. */
static void begin_line(struct vmm *vmm)
{
	static const struct branch_plan plan = {.mode = "live", .name = BEFORE, .deadline_ms = 20000};
	struct branch_outcome outcome = vmm_branch(vmm, &plan);

	CHECK(outcome.ok && !outcome.went_on, "errno %d, %s", outcome.error, outcome.operation);
	vmm_go_on_from(vmm, &plan);
	for (size_t page = 0; page < 64; page += 2)
		machine_write_page(&vmm->machine, page, page);
}

/* Returns false when the branch made fewer than n calls. */
static bool fail_call(struct vmm *vmm, const struct branch_plan *plan, enum fault_kind kind, long n)
{
	const char *name;

	if (plan->since)
		begin_line(vmm);

	if (plan->spares > 0)
		machine_write_disk(&vmm->machine, 2 * 1024 * 1024); /* more than is copied: it is switched */
	faulty_arm(kind, n);
	struct branch_outcome outcome = vmm_branch(vmm, plan);
	bool hit = faulty_disarm(&name);
	if (!hit) {
		CHECK(outcome.ok && outcome.went_on == (plan->since != NULL), "errno %d, %s", outcome.error, outcome.operation);
		vmm_forget(vmm);
		return false;
	}
	tally->injected++;
	if (getenv("FAKE_VMM_VERBOSE"))
		fprintf(stderr, "%s %s: %ld: %s: %s\n", plan->mode, plan->tracking ? plan->tracking : "", n, name, outcome.ok ? "ok" : outcome.operation);
	CHECK(kind == FAULT_ERROR || outcome.ok, "call %ld, %s: errno %d, %s", n, name, outcome.error, outcome.operation);
	vmm_check_alive(vmm);
	vmm_forget(vmm);
	struct branch_plan next = *plan;
	outcome = vmm_branch(vmm, &next);
	/* Whatever the one before it came to: it is not the one that is named. */
	CHECK(outcome.ok && !outcome.went_on, "after call %ld, %s, failed: errno %d, %s", n, name, outcome.error, outcome.operation);
	/* One that goes by what the kernel noted. */
	vmm_check_recovers(vmm);
	return true;
}

/*
 * A userfaultfd that cannot be read any more, or has nothing but an error to tell of, from the n-th look on: nobody is left waiting, the branch is exact or has
 * failed, and the fault thread does not go round and round until the sweep is over.
 */
static void break_faults(struct vmm *vmm, const struct branch_plan *armed, enum fault_kind kind, long n)
{
	const char *name;

	faulty_arm(kind, n);
	struct branch_outcome outcome = vmm_branch(vmm, armed);
	long looks = faulty_stayed();
	bool hit = faulty_disarm(&name);
	CHECK(looks <= 2, "looked %ld times in vain", looks);
	CHECK(hit || outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(outcome.ok || strcmp(outcome.operation, "sweep") == 0, "errno %d, %s", outcome.error, outcome.operation);
	tally->injected += hit;
	vmm_check_alive(vmm);
	vmm_forget(vmm);
	vmm_check_recovers(vmm);
}

void scenario_injected(const char *dir, uint64_t seed)
{
	static const struct branch_plan modes[] = {
		{.mode = "live", .tracking = "async", .disk = true, .spares = 1, .deadline_ms = 20000},
		{.mode = "live", .since = BEFORE, .deadline_ms = 20000},
		{.mode = "live", .tracking = "sync", .disk = true, .deadline_ms = 20000}, /* armed: all pages are written */
		{.mode = "diff", .durable = true, .disk = true, .deadline_ms = 20000},
		{.mode = "full", .deadline_ms = 20000},
	};
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start(&vmm, dir, seed, 0, 9 * 1024 * 1024);
	for (size_t i = 0; i < vmm.machine.vcpu_count; i++)
		vmm.machine.vcpus[i].pattern = i == 0 ? PATTERN_REGION : PATTERN_IDLE;
	for (size_t page = 0; page < vmm.machine.page_count; page++)
		machine_write_page(&vmm.machine, page, page + 1);
	CHECK(write(vmm.machine.overlay_fd, "overlay", 7) == 7, "no overlay");
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		for (int kind = FAULT_ERROR; kind <= FAULT_SHORT; kind++) {
			long n = 1, limit = kind == FAULT_ERROR ? 40 : 6;
			while (fail_call(&vmm, &modes[m], (enum fault_kind)kind, n))
				n += n < limit ? 1 : n; /* the sweep makes the same two calls thousands of times */
		}
	}
	for (long n = 1; n <= 16; n++)
		break_faults(&vmm, &modes[2], FAULT_STAYS, n);
	for (long n = 1; n <= 4; n++)
		break_faults(&vmm, &modes[2], FAULT_POLL_STAYS, n);
}
