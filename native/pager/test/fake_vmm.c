#define _GNU_SOURCE
#include "fake_vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../protocol.h"
#include "../../test/check.h"
#include "stack.h"

const char *vmm_path(const struct vmm *vmm, const char *what)
{
	static char paths[8][192];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s-%zu-%u", vmm->dir, what, vmm->depth, vmm->serial);
	return path;
}

static void kept_path(const struct vmm *vmm, const char *what, size_t depth, char *path, size_t size)
{
	snprintf(path, size, "%s/%s.%zu", vmm->dir, what, depth);
}

static void read_whole(const char *path, void *to, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "%s: errno %d", path, errno);
	ssize_t got = pread(fd, to, bytes, 0);
	CHECK(got == (ssize_t)bytes, "%s: %zd of %zu bytes", path, got, bytes);
	close(fd);
}

/* The stack an ancestor kept: one path a line. */
static void read_stack(struct vmm *vmm)
{
	char path[192];

	kept_path(vmm, "stack", vmm->depth - 1, path, sizeof(path));
	FILE *file = fopen(path, "re");
	CHECK(file, "%s: errno %d", path, errno);
	while (fscanf(file, "%191s", vmm->layers[vmm->layer_count]) == 1)
		vmm->layer_count++;
	fclose(file);
}

static void map(struct vmm *vmm)
{
	char path[192];

	client_sendf(&vmm->client, "map\tmarker=%s/marker", vmm->dir);
	if (vmm->depth > 0)
		read_stack(vmm);
	for (size_t i = 0; i < vmm->layer_count; i++) {
		client_sendf(&vmm->client, "\tlayer=%s", vmm->layers[i]);
		stack_apply(vmm->layers[i], vmm->stack, vmm->machine.ram_bytes);
	}
	client_sendf(&vmm->client, "\n");
	CHECK(client_read(&vmm->client) && client_is(&vmm->client, "ok"), "%s", vmm->client.line);
	CHECK(client_number(&vmm->client, "ram_bytes") == vmm->machine.ram_bytes, "%s", vmm->client.line);
	machine_check_advice(&vmm->machine);
	vmm->machine.below = vmm->stack;
	if (vmm->depth > 0) {
		kept_path(vmm, "reference", vmm->depth - 1, path, sizeof(path));
		read_whole(path, vmm->rebuilt, vmm->machine.ram_bytes);
		stack_compare(vmm->stack, vmm->rebuilt, vmm->machine.ram_bytes, "a stack against the parent's stop");
		tally->children++;
	}
	/* Half of the VMMs begin with RAM that nobody has touched, not even to compare it. */
	if (random_below(&vmm->random, 2))
		stack_compare(vmm->machine.ram, vmm->stack, vmm->machine.ram_bytes, "mapped layers");
}

static void prepare(struct vmm *vmm, const char *dir, uint64_t seed, size_t depth, size_t ram_bytes)
{
	char qmp_path[128];

	*vmm = (struct vmm){.dir = dir, .random = seed, .depth = depth};
	snprintf(vmm->control_path, sizeof(vmm->control_path), "%s/control", dir);
	snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", dir);
	machine_init(&vmm->machine, dir, ram_bytes, 1 + random_below(&vmm->random, MACHINE_MAX_VCPUS), seed);
	fake_qmp_start(&vmm->qmp, qmp_path, &vmm->machine, seed);
	vmm->stack = calloc(1, ram_bytes);
	vmm->rebuilt = malloc(ram_bytes);
	CHECK(vmm->stack && vmm->rebuilt, "no memory");
	client_connect(&vmm->client, vmm->control_path);
	client_sendf(&vmm->client, "hello\n");
	CHECK(client_read(&vmm->client) && client_is(&vmm->client, "ok"), "no hello");
	CHECK(client_number(&vmm->client, "version") == PAGER_PROTOCOL_VERSION, "%s", vmm->client.line);
	char *tracking = client_text(&vmm->client, "tracking");
	vmm->tracking = strcmp(tracking, "async") == 0 ? ON_ASYNC : strcmp(tracking, "sync") == 0 ? ON_SYNC : ON_NONE;
	free(tracking);
	map(vmm);
	tally->vmms++;
}

void vmm_start(struct vmm *vmm, const char *dir, uint64_t seed, size_t depth, size_t ram_bytes)
{
	prepare(vmm, dir, seed, depth, ram_bytes);
	machine_start(&vmm->machine);
}

void vmm_start_idle(struct vmm *vmm, const char *dir, uint64_t seed, size_t depth, size_t ram_bytes)
{
	prepare(vmm, dir, seed, depth, ram_bytes);
	for (size_t i = 0; i < vmm->machine.vcpu_count; i++)
		vmm->machine.vcpus[i].pattern = PATTERN_IDLE;
	machine_start(&vmm->machine);
}

static void check_tail(struct vmm *vmm)
{
	struct machine *machine = &vmm->machine;
	const char *path = vmm_path(vmm, "tail");
	struct stat info;
	uint8_t *tail = malloc(machine->overlay_bytes + 1);

	CHECK(stat(path, &info) == 0 && tail, "errno %d", errno);
	CHECK((size_t)info.st_size == machine->overlay_bytes, "%lld of %zu bytes", (long long)info.st_size,
	      machine->overlay_bytes);
	read_whole(path, tail, machine->overlay_bytes);
	stack_compare(tail, machine->overlay_reference, machine->overlay_bytes, "disk tail");
	free(tail);
	tally->tails++;
	tally->long_tails += machine->overlay_bytes > 1024 * 1024;
}

/* RAM as the layers give it that the new layer stands on. */
static void below_layer(const struct vmm *vmm, const struct branch_plan *plan, bool went_on, uint8_t *ram)
{
	size_t count = plan->mode[0] == 'f' ? 0 : plan->folds ? plan->fold_from : vmm->layer_count;

	memset(ram, 0, vmm->machine.ram_bytes);
	for (size_t i = 0; i < count; i++)
		stack_apply(vmm->layers[i], ram, vmm->machine.ram_bytes);
	for (size_t i = 0; went_on && i < vmm->own_count; i++)
		stack_apply(vmm->own[i], ram, vmm->machine.ram_bytes);
}

/* The layer over the layers below is the machine at the stop; it holds nothing that nobody wrote. */
static void check_capture(struct vmm *vmm, const struct branch_plan *plan, const uint8_t *touched, struct branch_outcome *outcome)
{
	struct machine *machine = &vmm->machine;
	size_t ram_bytes = machine->ram_bytes;
	bool full = strcmp(plan->mode, "full") == 0;
	char *runs = client_text(&vmm->client, "runs");
	char state[16] = "";

	outcome->went_on = vmm->went_on = client_number(&vmm->client, "went_on");
	below_layer(vmm, plan, outcome->went_on, vmm->rebuilt);
	uint64_t bytes = outcome->captured_bytes = stack_apply(vmm_path(vmm, "layer"), vmm->rebuilt, ram_bytes);
	stack_compare(vmm->rebuilt, machine->reference, ram_bytes, plan->mode);
	stack_check_runs(vmm_path(vmm, "layer"), runs, ram_bytes);
	outcome->run_count = runs[0] != '\0';
	for (const char *at = runs; *at; at++)
		outcome->run_count += *at == ',';
	CHECK(client_number(&vmm->client, "captured_bytes") == bytes, "%s", vmm->client.line);
	if (!full && !plan->fills && (outcome->went_on || !plan->folds))
		stack_check_pages(vmm_path(vmm, "layer"), touched, machine->page_count);
	if (plan->durable) {
		below_layer(vmm, plan, false, vmm->rebuilt);
		stack_apply(vmm_path(vmm, "durable"), vmm->rebuilt, ram_bytes);
		stack_compare(vmm->rebuilt, machine->reference, ram_bytes, "durable layer");
	}
	if (plan->disk)
		check_tail(vmm);
	read_whole(vmm_path(vmm, "state"), state, 12);
	CHECK(strcmp(state, "device state") == 0, "%s", state);
	free(runs);
}

static void count(const struct vmm *vmm, const struct branch_plan *plan, const struct branch_outcome *outcome)
{
	bool sync = vmm->tracking == ON_SYNC || (plan->tracking && strcmp(plan->tracking, "sync") == 0);

	tally->branches++;
	tally->diff += plan->mode[0] == 'd';
	tally->full += plan->mode[0] == 'f';
	tally->live_sync += plan->mode[0] == 'l' && sync;
	tally->live_async += plan->mode[0] == 'l' && !sync;
	tally->armed += outcome->armed_pages > 0;
	tally->armed_pages += outcome->armed_pages;
	tally->partly_armed += outcome->armed_pages > 0 && outcome->armed_pages < outcome->residue_pages;
	tally->retried += outcome->windows - 1;
	tally->folded += plan->folds && !outcome->went_on;
	tally->went_on += outcome->went_on;
}

void vmm_begin(struct vmm *vmm, const struct branch_plan *plan)
{
	vmm->saves_before = vmm->qmp.saves;
	vmm->switches_before = vmm->qmp.switches;
	vmm->serial++;
	vmm->tracks |= vmm->tracking == ON_ASYNC && plan->mode[0] == 'l' && (!plan->tracking || strcmp(plan->tracking, "async") == 0);
	vmm->qmp.script = (int)plan->script;
	vmm_send_request(vmm, plan);
}

struct branch_outcome vmm_end(struct vmm *vmm, const struct branch_plan *plan)
{
	struct branch_outcome outcome = {.ok = false};
	struct machine *machine = &vmm->machine;
	unsigned saves = vmm->saves_before, switches = vmm->switches_before;
	uint8_t *touched = malloc(machine->page_count);

	CHECK(client_read(&vmm->client), "the pager hung up");
	if (client_is(&vmm->client, "running")) {
		outcome.ran = true;
		outcome.armed_pages = client_number(&vmm->client, "armed_pages");
		outcome.residue_pages = client_number(&vmm->client, "residue_pages");
		outcome.arm_error = (int)client_number(&vmm->client, "arm_errno");
		outcome.windows = (unsigned)client_number(&vmm->client, "windows");
		CHECK(client_number(&vmm->client, "switches") == vmm->qmp.switches - switches, "%s", vmm->client.line);
		CHECK(vmm->qmp.opened == 1 && vmm->qmp.saves == saves + outcome.windows, "running, but opened=%d", vmm->qmp.opened);
		uint64_t events_us = client_number(&vmm->client, "events_us"), pause_us = client_number(&vmm->client, "pause_us");
		/* The events' clock is not the pager's, and may be set meanwhile by as much as a slow machine's clock drifts. */
		CHECK(events_us > 0 && events_us <= pause_us + 1000, "%s", vmm->client.line);
		machine_check_running(machine);
		CHECK(client_read(&vmm->client), "the pager hung up");
	}
	if (client_is(&vmm->client, "ok")) {
		CHECK(outcome.ran, "ok without running");
		outcome.ok = true;
		/* Now, not at the stop: a superset, but no race with who marks and writes. */
		for (size_t i = 0; i < machine->page_count; i++)
			touched[i] = machine->touched[i];
		check_capture(vmm, plan, touched, &outcome);
		tally->faults += client_number(&vmm->client, "faults");
		count(vmm, plan, &outcome);
		/* What asynchronous tracking arms stays so, and holds nobody up. */
		if (outcome.armed_pages > 0 && !vmm->tracks)
			CHECK(machine_protected_pages(machine) == 0, "pages stay protected after a sweep");
	} else {
		CHECK(client_is(&vmm->client, "error"), "%s", vmm->client.line);
		outcome.error = (int)client_number(&vmm->client, "errno");
		char *operation = client_text(&vmm->client, "operation");
		snprintf(outcome.operation, sizeof(outcome.operation), "%s", operation);
		free(operation);
		CHECK(outcome.error > 0, "%s", vmm->client.line);
		tally->refused++;
	}
	tally->switched += vmm->qmp.switches - switches;
	free(touched);
	vmm->qmp.script = QMP_FINE;
	return outcome;
}

struct branch_outcome vmm_branch(struct vmm *vmm, const struct branch_plan *plan)
{
	vmm_begin(vmm, plan);
	return vmm_end(vmm, plan);
}

void vmm_forget(struct vmm *vmm)
{
	unlink(vmm_path(vmm, "layer"));
	unlink(vmm_path(vmm, "state"));
	unlink(vmm_path(vmm, "tail"));
	unlink(vmm_path(vmm, "durable"));
	for (char spare[] = "spare0"; spare[5] < '4'; spare[5]++)
		if (strcmp(vmm_path(vmm, spare), vmm->machine.overlay_path) != 0)
			unlink(vmm_path(vmm, spare));
}

static void end_line(struct vmm *vmm)
{
	while (vmm->own_count > 0)
		unlink(vmm->own[--vmm->own_count]);
}

void vmm_go_on_from(struct vmm *vmm, const struct branch_plan *plan)
{
	if (!vmm->went_on)
		end_line(vmm);
	CHECK(vmm->own_count < MAX_LAYERS, "a line of %zu layers", vmm->own_count);
	char *path = vmm->own[vmm->own_count++];
	snprintf(path, sizeof(vmm->own[0]), "%s/own-%s", vmm->dir, plan->name);
	CHECK(rename(vmm_path(vmm, "layer"), path) == 0, "errno %d", errno);
	vmm_forget(vmm);
}

void vmm_keep(struct vmm *vmm, const struct branch_plan *plan)
{
	char path[192];
	size_t below = plan->folds ? plan->fold_from : vmm->layer_count;

	kept_path(vmm, "reference", vmm->depth, path, sizeof(path));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0, "errno %d", errno);
	CHECK(write(fd, vmm->machine.reference, vmm->machine.ram_bytes) == (ssize_t)vmm->machine.ram_bytes, "errno %d",
	      errno);
	close(fd);
	kept_path(vmm, "stack", vmm->depth, path, sizeof(path));
	FILE *file = fopen(path, "we");
	CHECK(file, "errno %d", errno);
	for (size_t i = 0; i < below; i++)
		fprintf(file, "%s\n", vmm->layers[i]);
	for (size_t i = 0; vmm->went_on && i < vmm->own_count; i++)
		fprintf(file, "%s\n", vmm->own[i]);
	kept_path(vmm, "layer", vmm->depth, path, sizeof(path));
	fprintf(file, "%s\n", path);
	CHECK(fclose(file) == 0, "errno %d", errno);
	CHECK(rename(vmm_path(vmm, "layer"), path) == 0, "errno %d", errno);
	vmm_forget(vmm);
}

bool vmm_saved(struct vmm *vmm, unsigned saves)
{
	for (int i = 0; i < 5000 && vmm->qmp.saves < saves; i++)
		usleep(1000);
	return vmm->qmp.saves >= saves;
}

void vmm_check_alive(struct vmm *vmm)
{
	machine_check_running(&vmm->machine);
	machine_touch_protected(&vmm->machine);
}

void vmm_check_recovers(struct vmm *vmm)
{
	static const struct branch_plan plan = {.mode = "live", .disk = true, .spares = 2, .deadline_ms = 20000};

	vmm_check_alive(vmm);
	vmm_forget(vmm);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.ok, "the next branch fails: errno %d, %s", outcome.error, outcome.operation);
	vmm_forget(vmm);
}
