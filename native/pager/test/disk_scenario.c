/*
 * disk_scenario.c - a guest that writes its disk without rest, of which the pause takes a few MiB and never more.
 *
 * The fake QMP writes to the disk after the pager has looked at its overlay and before the machine stops: the moment in
 * which a real guest's overlay outgrows what a pause may copy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../stage.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define MIB (1024 * 1024ul)

struct disk_case {
	size_t before_bytes; /* in the overlay when the branch begins, besides what is there */
	size_t late_bytes;   /* written between the look and each of so many stops */
	unsigned late_saves;
	size_t spares;
	int error; /* 0: it works, after so many pauses and switches */
	unsigned windows, switches;
	enum qmp_script script;
	const char *operation; /* that fails */
};

#define OUTRUN "switch the disk overlay as fast as the guest writes to it"

/* Returns false if this machine is so slow that the deadline came before the pauses that are meant. */
static bool run_case(struct vmm *vmm, const struct branch_plan *mode, const struct disk_case *with, unsigned deadline_ms)
{
	struct branch_plan plan = *mode;
	unsigned switches = vmm->qmp.switches, saves = vmm->qmp.saves;

	machine_write_disk(&vmm->machine, with->before_bytes);
	vmm->qmp.late_disk_bytes = with->late_bytes;
	vmm->qmp.late_disk_saves = with->late_saves;
	plan.disk = true;
	plan.spares = with->spares;
	plan.script = with->script;
	plan.deadline_ms = deadline_ms;
	vmm->qmp.script_ms = plan.deadline_ms + 100;
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	/* A save that was under way at the deadline still ends. */
	bool too_slow = with->error == ETIMEDOUT && !vmm_saved(vmm, saves + with->windows);
	CHECK(outcome.error == with->error, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(too_slow || vmm->qmp.saves - saves == with->windows, "%s: %u pauses instead of %u", plan.mode, vmm->qmp.saves - saves, with->windows);
	CHECK(too_slow || vmm->qmp.switches - switches == with->switches, "%s: %u switches instead of %u", plan.mode,
	      vmm->qmp.switches - switches, with->switches);
	CHECK(vmm->machine.overlay_bytes <= STAGE_TAIL_BYTES || !outcome.ok || with->spares == 0, "%zu bytes in a pause", vmm->machine.overlay_bytes);
	CHECK(too_slow || outcome.ok || strcmp(outcome.operation, with->operation) == 0, "%s", outcome.operation);
	vmm->qmp.late_disk_saves = 0;
	vmm_check_alive(vmm);
	vmm_forget(vmm);
	/* An empty overlay for the next case, whatever this one left. */
	machine_write_disk(&vmm->machine, 2 * MIB);
	outcome = vmm_branch(vmm, &(struct branch_plan){.mode = "live", .disk = true, .spares = 1, .deadline_ms = 20000});
	CHECK(outcome.ok && vmm->machine.overlay_bytes == 0, "%zu bytes", vmm->machine.overlay_bytes);
	vmm_forget(vmm);
	return !too_slow;
}

void scenario_disk(const char *dir, uint64_t seed)
{
	static const struct branch_plan modes[] = {{.mode = "live", .tracking = "async"},
						   {.mode = "live", .tracking = "sync"},
						   {.mode = "diff", .durable = true},
						   {.mode = "full"}};
	static const struct disk_case cases[] = {
		{0, 0, 0, 2, 0, 1, 0, QMP_FINE, NULL},                                /* a guest that writes nothing is not switched */
		{MIB, 0, 0, 2, 0, 1, 0, QMP_FINE, NULL},                              /* one MiB is not worth it */
		{MIB + 1, 0, 0, 2, 0, 1, 1, QMP_FINE, NULL},
		{300 * MIB, 0, 0, 2, 0, 1, 1, QMP_FINE, NULL},
		{0, STAGE_TAIL_BYTES, 1, 2, 0, 1, 0, QMP_FINE, NULL},                 /* as much as a pause may take */
		{0, STAGE_TAIL_BYTES + 1, 1, 2, 0, 2, 1, QMP_FINE, NULL},             /* more: the second pause switches */
		{MIB + 1, STAGE_TAIL_BYTES + 1, 1, 2, 0, 2, 2, QMP_FINE, NULL},       /* also after a switch that was not enough */
		{0, 30 * MIB, 9, 2, 0, 2, 1, QMP_FINE, NULL},                         /* and in that one nothing is too fast */
		{MIB + 1, 30 * MIB, 9, 2, 0, 2, 2, QMP_FINE, NULL},
		{MIB + 1, STAGE_TAIL_BYTES + 1, 9, 1, EFBIG, 1, 1, QMP_FINE, OUTRUN}, /* no spare is left */
		{9 * MIB, 0, 0, 0, 0, 1, 0, QMP_FINE, NULL},                          /* there was none to begin with: no limit */
		/* Whatever fails while it stands still, the guest runs again. */
		{0, 30 * MIB, 9, 2, EREMOTEIO, 2, 0, QMP_STOPPED_SWITCH_FAILS, "switch the disk overlay"},
		{0, 30 * MIB, 9, 2, EREMOTEIO, 2, 1, QMP_STOPPED_SAVE_FAILS, "save the device state"},
		{0, 30 * MIB, 9, 2, ETIMEDOUT, 2, 1, QMP_STOPPED_LATE_OPEN, "save the device state"},
	};
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start(&vmm, dir, seed, 0, 12 * MIB);
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		vmm.machine.vcpus[0].pattern = m % 2 ? PATTERN_FEW : PATTERN_REGION;
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			unsigned deadline_ms = cases[i].error == ETIMEDOUT ? 2000 : 20000;

			while (!run_case(&vmm, &modes[m], &cases[i], deadline_ms)) {
				deadline_ms *= 2;
				CHECK(deadline_ms < 30000, "%s: never gets to its pauses", modes[m].mode);
			}
		}
	}
}
