/*
 * arming.c - what of a residue is armed when there is more of it than can be, on an old kernel, and when the branch fails.
 *
 * Synchronous tracking alone: all that is private is the residue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../armed.h"
#include "../../test/check.h"
#include "fake_vmm.h"
#include "faulty.h"

#define SMALL_PAGES 64  /* just worth arming, */
#define APART_PAGES 129 /* and too far apart to be one range */
#define SMALL_RANGES (ARMED_MAX_RANGES + 44)
#define LARGE_PAGES 4096

static const struct branch_plan plan = {.mode = "live", .tracking = "sync", .deadline_ms = 20000};

static size_t write_run(struct vmm *vmm, size_t page, size_t count)
{
	for (size_t end = page + count; page < end; page++)
		machine_write_page(&vmm->machine, page, page);
	return page;
}

/* Too many ranges, and the largest comes last. */
static void arm_the_largest(struct vmm *vmm)
{
	size_t page = 0;

	for (size_t i = 0; i < SMALL_RANGES; i++)
		page = write_run(vmm, page, SMALL_PAGES) + APART_PAGES - SMALL_PAGES;
	write_run(vmm, page, LARGE_PAGES);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(outcome.armed_pages >= LARGE_PAGES + (ARMED_MAX_RANGES - 2) * SMALL_PAGES, "%zu pages armed", outcome.armed_pages);
	vmm_forget(vmm);
}

static void arm_over_borders(struct vmm *vmm)
{
	faulty_borders(37);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	faulty_borders(0);
	CHECK(outcome.ok && outcome.arm_error == 0, "errno %d, %s; not armed: errno %d", outcome.error, outcome.operation, outcome.arm_error);
	CHECK(outcome.armed_pages >= LARGE_PAGES, "%zu pages armed", outcome.armed_pages);
	vmm_check_alive(vmm);
	vmm_forget(vmm);
}

/* What is armed when the branch fails is let go, and not saved first. */
static void fail_while_armed(struct vmm *vmm)
{
	struct branch_plan failing = plan;
	struct stat info;

	failing.script = QMP_SAVE_FAILS_LAST;
	struct branch_outcome outcome = vmm_branch(vmm, &failing);
	CHECK(outcome.error == EREMOTEIO, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(stat(vmm_path(vmm, "layer"), &info) == 0, "errno %d", errno);
	CHECK((size_t)info.st_blocks * 512 < LARGE_PAGES * MACHINE_PAGE / 2, "%lld blocks saved in vain", (long long)info.st_blocks);
	vmm_check_recovers(vmm);
}

void scenario_arming(const char *dir, uint64_t seed)
{
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start_idle(&vmm, dir, seed, 0, (SMALL_RANGES * APART_PAGES + LARGE_PAGES + 8) * MACHINE_PAGE);
	arm_the_largest(&vmm);
	arm_over_borders(&vmm);
	fail_while_armed(&vmm);
}
