/*
 * ready.c - what QEMU has been had to read before the next branch is asked for: used by that one, or taken back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_vmm.h"
#ifndef PRELOADED
#include "faulty.h"
#endif

#define MIB (1024 * 1024ul)

static const struct branch_plan plan = {.mode = "live", .disk = true, .spares = 1, .ready_ms = 1, .deadline_ms = 20000};

/* Whether QEMU comes to hold half a command. */
static bool is_ready(struct vmm *vmm)
{
	for (int i = 0; i < 5000 && !vmm->qmp.holds_half; i++)
		usleep(1000);
	return vmm->qmp.holds_half;
}

/* One branch that works, and takes so many connections besides those made ready. */
static void branch(struct vmm *vmm, const struct branch_plan *with, unsigned connections)
{
	unsigned before = vmm->qmp.connections;
	struct branch_outcome outcome = vmm_branch(vmm, with);

	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(is_ready(vmm), "never ready for the next");
	CHECK(vmm->qmp.connections - before == connections + 1, "%u connections", vmm->qmp.connections - before);
	vmm_forget(vmm);
}

/* One that is ready and works, whatever mode. */
static void any_mode(struct vmm *vmm)
{
	static const char *const modes[] = {"live", "diff", "full"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct branch_plan with = plan;

		with.mode = modes[i];
		branch(vmm, &with, 0);
	}
}

/* Far more events than fit into a socket, over a connection that nobody asks anything over. */
static void hears(struct vmm *vmm)
{
	for (int i = 0; i < 20000; i++)
		fake_qmp_event(&vmm->qmp, "RTC_CHANGE");
	branch(vmm, &plan, 0);
}

/* A switch is another command: what was begun is taken back first. */
static void switches(struct vmm *vmm)
{
	unsigned before = vmm->qmp.switches;

	machine_write_disk(&vmm->machine, 2 * MIB);
	branch(vmm, &plan, 1);
	CHECK(vmm->qmp.switches == before + 1, "not switched");
	/* In the pause, in a second window. */
	vmm->qmp.late_disk_bytes = 30 * MIB;
	vmm->qmp.late_disk_saves = 1;
	branch(vmm, &plan, 0);
	CHECK(vmm->qmp.switches == before + 2, "not switched");
}

/* A QEMU that has hung up is connected to again. */
static void hung_up(struct vmm *vmm)
{
	shutdown(vmm->qmp.connection_fd, SHUT_RDWR);
	for (int i = 0; i < 5000 && vmm->qmp.holds_half; i++)
		usleep(1000);
	usleep(20000);
	branch(vmm, &plan, 1);
}

/* A daemon that is gone: QEMU is not left with what nobody hears; the next daemon's branch connects anew. */
static void left_alone(struct vmm *vmm)
{
	CHECK(is_ready(vmm), "never ready");
	client_close(&vmm->client);
	for (int i = 0; i < 5000 && vmm->qmp.holds_half; i++)
		usleep(1000);
	CHECK(!vmm->qmp.holds_half, "kept");
	client_connect(&vmm->client, vmm->control_path);
	branch(vmm, &plan, 1);
}

/* A save that comes late of a connection that is gone opens nothing. */
static void too_late(struct vmm *vmm)
{
	struct branch_plan late = plan;
	unsigned saves = vmm->qmp.saves;

	late.script = QMP_LATE_OPEN;
	late.deadline_ms = 200;
	vmm->qmp.script_ms = 1000;
	struct branch_outcome outcome = vmm_branch(vmm, &late);
	CHECK(!outcome.ok && outcome.error == ETIMEDOUT, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(vmm_saved(vmm, saves + 1) && vmm->qmp.opened == -ETIMEDOUT, "opened %d", vmm->qmp.opened);
	vmm_check_recovers(vmm);
}

#ifndef PRELOADED
/* Made ready once the branch before has been looked at. */
#define LATER_MS 200

/* Each call that makes ready fails once: the next branch does by itself what was not made ready. */
static void injected(struct vmm *vmm)
{
	struct branch_plan with = plan;
	unsigned hits = 0;

	with.ready_ms = LATER_MS;
	for (int kind = FAULT_ERROR; kind <= FAULT_INTERRUPT; kind++) {
		for (long n = 1; n <= 5; n++) {
			const char *name;
			struct branch_outcome outcome = vmm_branch(vmm, &with);

			CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
			vmm_forget(vmm);
			faulty_arm((enum fault_kind)kind, n);
			for (int i = 0; i < 2 * LATER_MS && !vmm->qmp.holds_half; i++)
				usleep(1000);
			hits += faulty_disarm(&name);
			vmm_check_alive(vmm);
			vmm_check_recovers(vmm);
		}
	}
	CHECK(hits > 0, "nothing was made to fail");
	tally->injected += hits;
}
#endif

void scenario_ready(const char *dir, uint64_t seed)
{
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start(&vmm, dir, seed, 0, 12 * MIB);
	vmm.machine.vcpus[0].pattern = PATTERN_RANDOM;
	branch(&vmm, &plan, 1);
	any_mode(&vmm);
	hears(&vmm);
	switches(&vmm);
	hung_up(&vmm);
	left_alone(&vmm);
	too_late(&vmm);
#ifndef PRELOADED
	injected(&vmm);
#endif
}
