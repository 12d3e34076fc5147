/*
 * deadline.c - a disk that does not answer holds up the branch, and not the guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_vmm.h"
#include "faulty.h"

static void wait_until(bool (*holds)(struct vmm *vmm), struct vmm *vmm)
{
	for (int i = 0; i < 20000; i++) {
		if (holds(vmm))
			return;
		usleep(1000);
	}
	CHECK(false, "it never happened");
}

static bool runs_again(struct vmm *vmm)
{
	return vmm->qmp.saves > vmm->saves_before;
}

static bool is_held(struct vmm *vmm)
{
	(void)vmm;
	return faulty_waits();
}

/*
 * A call that does not return: the guest runs again at the deadline, and the branch has failed when it does, after no more calls
 * than that. Without an operation any step may be the one that sees it.
 */
static void hold(struct vmm *vmm, struct branch_plan plan, const char *call, const char *operation, long calls_after)
{
	plan.deadline_ms = 2000;
	faulty_hold(call);
	vmm_begin(vmm, &plan);
	wait_until(is_held, vmm);
	wait_until(runs_again, vmm);
	CHECK(faulty_waits(), "the guest ran again only after the %s()", call);
	machine_check_running(&vmm->machine);
	faulty_let_go();
	struct branch_outcome outcome = vmm_end(vmm, &plan);
	CHECK(outcome.error == ETIMEDOUT && (!operation || strcmp(outcome.operation, operation) == 0), "errno %d, %s",
	      outcome.error, outcome.operation);
	CHECK(faulty_calls_since() == calls_after, "%s(), and %ld calls after it", call, faulty_calls_since());
	vmm_check_recovers(vmm);
}

static void hold_durable(struct vmm *vmm, const char *mode, const char *call, long calls_after)
{
	hold(vmm, (struct branch_plan){.mode = mode, .durable = true}, call, "write the durable layer", calls_after);
}

void scenario_deadline(const char *dir, uint64_t seed)
{
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start(&vmm, dir, seed, 0, 12 * 1024 * 1024);
	vmm.machine.vcpus[0].pattern = PATTERN_RANDOM;
	hold_durable(&vmm, "diff", "fsync", 0);
	hold_durable(&vmm, "full", "fsync", 0);
	/* What was read is written; nothing is read or synchronised after that. */
	hold_durable(&vmm, "diff", "pread", 1);
	hold_durable(&vmm, "full", "pread", 1);
	/* The tail is copied beside a save that takes a while: no file but that of the device state waits for it. */
	vmm.qmp.script_ms = 1000;
	machine_write_disk(&vmm.machine, 64 * 1024);
	hold(&vmm, (struct branch_plan){.mode = "live", .disk = true, .script = QMP_SAVES_LONG}, "pread", NULL, 0);
}
