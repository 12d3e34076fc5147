/*
 * scenarios.c - what the fake VMM goes through: random lineages, a misbehaving QMP, odd requests, a full store.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../protocol.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define MIB (1024 * 1024ul)

static void choose_load(struct vmm *vmm)
{
	struct machine *machine = &vmm->machine;
	uint64_t *random = &vmm->random;

	for (size_t i = 0; i < machine->vcpu_count; i++)
		if (random_below(random, 2))
			machine->vcpus[i].pattern = (int)random_below(random, PATTERN_COUNT);
	machine->disk_chunk_bytes = random_below(random, 3) ? 512 * (1 + random_below(random, 16)) : 0;
	vmm->qmp.dawdle_us = random_below(random, 3) ? 0 : (unsigned)random_below(random, 6000);
}

static struct branch_plan choose_branch(struct vmm *vmm)
{
	uint64_t *random = &vmm->random;
	struct branch_plan plan = {.deadline_ms = 20000};
	uint64_t mode = random_below(random, 10);

	plan.mode = mode < 7 ? "live" : mode < 9 ? "diff" : "full";
	plan.tracking = random_below(random, 3) == 0 ? "sync" : random_below(random, 2) ? "async" : NULL;
	plan.disk = random_below(random, 2);
	plan.spares = 2 + random_below(random, 2); /* enough for a guest of any speed: one while it runs, one while it stands still */
	plan.durable = mode >= 7 && random_below(random, 2);
	plan.ready_ms = random_below(random, 2);
	if (mode < 9 && vmm->layer_count > 0 && random_below(random, 3) == 0) {
		plan.folds = true;
		plan.fold_from = random_below(random, vmm->layer_count);
	}
	return plan;
}

void scenario_random(const char *dir, uint64_t seed, size_t depth, bool big)
{
	static struct vmm vmm; /* its threads outlive this function */
	uint64_t lineage = seed;
	size_t ram_bytes = (4ul << random_below(&lineage, 3)) * MIB;

	if (big)
		ram_bytes = (96 + 32 * random_below(&lineage, 3)) * MIB;
	vmm_start(&vmm, dir, seed + depth * 1000003, depth, ram_bytes);
	size_t branches = big ? 2 + depth : 3 + random_below(&vmm.random, 6);
	for (size_t i = 0; i < branches; i++) {
		choose_load(&vmm);
		if (big) /* tens of MiB rewritten without rest */
			vmm.machine.vcpus[0].pattern = PATTERN_REGION;
		if (random_below(&vmm.random, 2))
			usleep((useconds_t)random_below(&vmm.random, big ? 200000 : 5000));
		struct branch_plan plan = choose_branch(&vmm);
		bool keep = i + 1 == branches;
		if (big)
			plan.mode = "live", plan.durable = false;
		if (keep && strcmp(plan.mode, "full") == 0)
			plan.mode = "diff"; /* a flat layer over the others is right too, but what a child needs is this */
		struct branch_outcome outcome = vmm_branch(&vmm, &plan);
		CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
		CHECK(outcome.arm_error == 0, "not armed: errno %d", outcome.arm_error);
		if (keep)
			vmm_keep(&vmm, &plan);
		else
			vmm_forget(&vmm);
	}
	vmm_check_alive(&vmm);
}

struct qmp_fault {
	enum qmp_script script;
	int error;
	bool saves;  /* the machine is stopped and run again, sooner or later */
	int opened;  /* what becomes of the open: 1, 0 not tried, -1 refused */
	unsigned deadline_ms;
};

/* Returns false if this machine is so slow that the deadline came before the place that is meant. */
static bool qmp_fault(struct vmm *vmm, const struct qmp_fault *fault, struct branch_plan plan)
{
	unsigned saves = vmm->qmp.saves;
	int script = (int)fault->script;

	plan.script = fault->script;
	plan.spares = 1;
	plan.deadline_ms = fault->deadline_ms;
	vmm->qmp.script_ms = fault->deadline_ms * 2;
	if (fault->script == QMP_SWITCH_FAILS)
		machine_write_disk(&vmm->machine, 2 * MIB);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	/* An answer that is there when the pager has a processor again is taken, late as it is. */
	if (outcome.ok && fault->error == ETIMEDOUT) {
		vmm_check_recovers(vmm);
		return false;
	}
	CHECK(!outcome.ok && !outcome.ran, "script %d: the branch works", script);
	CHECK(outcome.error == fault->error, "script %d: errno %d, %s", script, outcome.error, outcome.operation);
	bool at_save = strcmp(outcome.operation, "save the device state") == 0;
	bool saved = fault->saves && vmm_saved(vmm, saves + 1);
	int opened = vmm->qmp.opened;
	bool too_soon = !at_save || !saved || (fault->opened > 0 && opened == -ETIMEDOUT);
	bool too_slow = fault->saves && outcome.error == ETIMEDOUT && too_soon;
	CHECK(too_slow || fault->script < QMP_SAVE_FAILS_FIRST || at_save, "script %d: %s", script, outcome.operation);
	CHECK(too_slow || saved == fault->saves, "script %d: the machine was never run again", script);
	CHECK(too_slow || !fault->saves || (opened > 0) - (opened < 0) == fault->opened, "script %d: opened %d", script,
	      opened);
	CHECK(opened >= 0 || access(vmm_path(vmm, "state"), F_OK) != 0, "a refused open made the file");
	vmm_check_recovers(vmm);
	return !too_slow;
}

/* The body runs while QEMU saves: what this one writes at the end of a long save is not in the capture. */
static void saves_long(struct vmm *vmm)
{
	struct branch_plan plan = {.mode = "live", .script = QMP_SAVES_LONG, .deadline_ms = 20000};

	vmm->qmp.script_ms = 1000;
	for (int i = 0; i < 3; i++) {
		CHECK(vmm_branch(vmm, &plan).ok, "a branch fails");
		vmm_forget(vmm);
	}
}

void scenario_qmp_faults(const char *dir, uint64_t seed)
{
	static const struct qmp_fault faults[] = {
		{QMP_NO_GREETING, ETIMEDOUT, false, 0, 50},
		{QMP_SWITCH_FAILS, EREMOTEIO, false, 0, 5000},
		{QMP_SAVE_FAILS_FIRST, EREMOTEIO, true, 0, 5000},
		{QMP_SAVE_FAILS_LAST, EREMOTEIO, true, 1, 5000},
		{QMP_CLOSES, ECONNRESET, true, 0, 5000},
		{QMP_LATE_OPEN, ETIMEDOUT, true, -1, 100},
		{QMP_LATE_REPLY, ETIMEDOUT, true, 1, 200},
		{QMP_NEVER_OPENS, ENOTCONN, true, 0, 5000},
		{QMP_CLOSES_UNSEEN, ENOTCONN, true, 1, 5000},
		{QMP_JUNK, EPROTO, true, -1, 5000},
	};
	static const struct branch_plan modes[] = {{.mode = "live", .tracking = "async"},
						   {.mode = "live", .tracking = "sync"},
						   {.mode = "diff", .durable = true},
						   {.mode = "full"}};
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start(&vmm, dir, seed, 0, 12 * MIB);
	vmm.machine.vcpus[0].pattern = PATTERN_RANDOM;
	usleep(20000);
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
			struct qmp_fault fault = faults[i];
			struct branch_plan plan = modes[m];

			plan.disk = i % 2;
			while (!qmp_fault(&vmm, &fault, plan)) {
				fault.deadline_ms *= 2;
				CHECK(fault.deadline_ms < 30000, "script %d: never gets to the save", (int)fault.script);
			}
		}
	}
	saves_long(&vmm);
}

static void expect_error(struct vmm *vmm, int error)
{
	CHECK(client_read(&vmm->client), "the pager hung up");
	CHECK(client_is(&vmm->client, "error"), "%s", vmm->client.line);
	CHECK(client_number(&vmm->client, "errno") == (uint64_t)error, "%s", vmm->client.line);
}

static void reconnect(struct vmm *vmm)
{
	client_close(&vmm->client);
	client_connect(&vmm->client, vmm->control_path);
}

static void expect_hello(struct vmm *vmm)
{
	client_sendf(&vmm->client, "hello\n");
	CHECK(client_read(&vmm->client) && client_is(&vmm->client, "ok"), "no answer");
}

static void send_junk(struct vmm *vmm)
{
	struct client *client = &vmm->client;
	uint64_t *random = &vmm->random;

	for (int i = 0; i < 200; i++) {
		char junk[512];
		size_t length = random_below(random, sizeof(junk));
		for (size_t at = 0; at < length; at++) {
			junk[at] = (char)random_next(random);
			if (junk[at] == '\n')
				junk[at] = '\t';
		}
		client_send(client, junk, length);
		client_send(client, "\n", 1);
		expect_error(vmm, ENOSYS);
	}
	/* A line that never ends: the pager hangs up, and serves whoever comes next. */
	char *endless = malloc(PAGER_LINE_MAX + 1000);
	memset(endless, 'a', PAGER_LINE_MAX + 1000);
	client_send(client, endless, PAGER_LINE_MAX + 1000);
	CHECK(!client_read(client), "%s", client->line);
	free(endless);
	reconnect(vmm);
	expect_hello(vmm);
	/* More fields than a request can have. */
	client_sendf(client, "map\tmarker=%s/marker", vmm->dir);
	for (int i = 0; i < 5000; i++)
		client_sendf(client, "\tlayer=x");
	client_sendf(client, "\n");
	expect_error(vmm, E2BIG);
}

static void send_bad_branches(struct vmm *vmm)
{
	static const char *const bad[] = {
		"branch",
		"branch\tmode=live",
		"branch\tmode=warm\tlayer=/x\tstate=/y\tdeadline_ms=100",
		"branch\tmode=live\ttracking=none\tlayer=/x\tstate=/y\tdeadline_ms=100",
		"branch\tmode=live\tlayer=/x\tstate=/y",
		"branch\tmode=live\tlayer=/x\tstate=/y\tdeadline_ms=junk",
		"branch\tmode=live\tlayer=/x\tstate=/y\tdeadline_ms=100\toverlay=/z",
		"branch\tmode=live\tlayer=/x\tstate=/y\tdeadline_ms=100\tfold_from=0", /* nothing is mapped below */
		"branch\tmode=full\tlayer=/x\tstate=/y\tdeadline_ms=100\tfold_from=0",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		client_sendf(&vmm->client, "%s\n", bad[i]);
		expect_error(vmm, EINVAL);
	}
	client_sendf(&vmm->client, "branch\tmode=live\tlayer=/x\tstate=/y\tdeadline_ms=100\tdurable=/z\n");
	expect_error(vmm, EINVAL);
	CHECK(strstr(vmm->client.line, "durable layer in live mode"), "%s", vmm->client.line);
	/* A state path no kernel would open. */
	char *path = malloc(20001);
	memset(path, 'p', 20000);
	path[20000] = '\0';
	client_sendf(&vmm->client, "branch\tmode=live\tlayer=%s/long\tstate=/%s\tdeadline_ms=1000\n", vmm->dir, path);
	expect_error(vmm, EINVAL);
	free(path);
	/* A layer that is there already is not overwritten. */
	client_sendf(&vmm->client, "branch\tmode=live\tlayer=%s/marker\tstate=/y\tdeadline_ms=100\n", vmm->dir);
	expect_error(vmm, EEXIST);
}

/* A daemon that dies in the middle of a branch. */
static void disconnect_mid_branch(struct vmm *vmm)
{
	for (int i = 0; i < 20; i++) {
		unsigned saves = vmm->qmp.saves;
		vmm->serial++;
		vmm->qmp.dawdle_us = 3000;
		client_sendf(&vmm->client, "branch\tmode=live\ttracking=%s\tlayer=%s\tstate=%s\tdeadline_ms=20000\n",
			     i % 2 ? "sync" : "async", vmm_path(vmm, "layer"), vmm_path(vmm, "state"));
		usleep((useconds_t)random_below(&vmm->random, 6000));
		reconnect(vmm);
		expect_hello(vmm); /* answered only when the branch is over */
		CHECK(vmm_saved(vmm, saves + 1), "the machine was never run again");
		vmm_check_recovers(vmm);
	}
	vmm->qmp.dawdle_us = 0;
}

/* A QEMU whose main thread takes no connection: the branch ends at its deadline, and nothing is stuck. */
static void connect_to_the_hung(struct vmm *vmm)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct branch_plan plan = {.mode = "live", .deadline_ms = 200};
	int fds[16];
	size_t count = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/qmp", vmm->dir);
	do { /* the first one is accepted, the next ones wait in line, until there is no more room in it */
		CHECK(count < 16, "the line never ends");
		fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		usleep(10000);
	} while (connect(fds[count++], (struct sockaddr *)&address, sizeof(address)) == 0);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.error == ETIMEDOUT, "errno %d, %s", outcome.error, outcome.operation);
	while (count > 0)
		close(fds[--count]);
	vmm_check_recovers(vmm);
}

/* More runs than the daemon takes in one answer: the branch fails, and not the connection. */
static void outgrow_the_answer(struct vmm *vmm)
{
	struct branch_plan plan = {.mode = "live", .deadline_ms = 20000, .runs_max = 10};

	for (size_t page = 0; page < 200; page += 2)
		machine_write_page(&vmm->machine, page, page);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.error == E2BIG && strstr(outcome.operation, "runs of the layer"), "errno %d, %s", outcome.error, outcome.operation);
	vmm_check_recovers(vmm);
}

void scenario_requests(const char *dir, uint64_t seed)
{
	static struct vmm vmm; /* its threads outlive this function */
	char path[192];

	/* Pages written by others would join the runs that outgrow_the_answer() makes. */
	vmm_start_idle(&vmm, dir, seed, 0, 12 * MIB);
	client_sendf(&vmm.client, "map\tmarker=%s/marker\n", dir);
	expect_error(&vmm, EALREADY);
	send_junk(&vmm);
	send_bad_branches(&vmm);
	/* Two requests in one piece, one request in many. */
	client_sendf(&vmm.client, "hello\nhello\n");
	for (int i = 0; i < 2; i++)
		CHECK(client_read(&vmm.client) && client_is(&vmm.client, "ok"), "no answer");
	for (const char *at = "hello\n"; *at; at++) {
		client_send(&vmm.client, at, 1);
		usleep(500);
	}
	CHECK(client_read(&vmm.client) && client_is(&vmm.client, "ok"), "no answer");
	outgrow_the_answer(&vmm);
	connect_to_the_hung(&vmm);
	disconnect_mid_branch(&vmm);
	snprintf(path, sizeof(path), "%s/long", dir);
	CHECK(access(path, F_OK) != 0, "a refused request left a file");
}

/* The layer's store has room for so many bytes: what is written beyond them fails in a different phase each time. */
static void branch_into(struct vmm *vmm, const char *store, size_t room_bytes, const struct branch_plan *mode)
{
	const char *dir = vmm->dir;
	char options[64];

	snprintf(options, sizeof(options), "size=%zu", room_bytes);
	CHECK(mount("none", store, "tmpfs", 0, options) == 0, "errno %d", errno);
	vmm->dir = store;
	struct branch_outcome outcome = vmm_branch(vmm, mode);
	CHECK(outcome.ok || outcome.error == ENOSPC, "%zu bytes: errno %d, %s", room_bytes, outcome.error,
	      outcome.operation);
	vmm_check_alive(vmm);
	vmm_forget(vmm);
	CHECK(umount(store) == 0, "files are open after a branch: errno %d", errno);
	vmm->dir = dir;
	vmm_check_recovers(vmm);
}

/* A tmpfs that allocates 2 MiB for a page: what is around the page would hide the layers below. Refused, not wrong. */
static void branch_into_huge_pages(struct vmm *vmm, const char *store)
{
	static const struct branch_plan plan = {.mode = "live", .deadline_ms = 20000};
	const char *dir = vmm->dir;

	if (mount("none", store, "tmpfs", 0, "huge=always,size=64m") < 0)
		return; /* a kernel without huge pages */
	vmm->dir = store;
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(!outcome.ok && outcome.error == EOPNOTSUPP, "errno %d, %s", outcome.error, outcome.operation);
	vmm_forget(vmm);
	CHECK(umount(store) == 0, "errno %d", errno);
	vmm->dir = dir;
	vmm_check_recovers(vmm);
}

void scenario_full_store(const char *dir, uint64_t seed)
{
	static const struct branch_plan modes[] = {{.mode = "live", .tracking = "async", .deadline_ms = 20000},
						   {.mode = "live", .tracking = "sync", .deadline_ms = 20000},
						   {.mode = "diff", .deadline_ms = 20000},
						   {.mode = "full", .disk = true, .deadline_ms = 20000}};
	static struct vmm vmm; /* its threads outlive this function */
	char store[192];

	snprintf(store, sizeof(store), "%s/store", dir);
	CHECK(mkdir(store, 0700) == 0, "errno %d", errno);
	if (mount("none", store, "tmpfs", 0, NULL) < 0) {
		printf("fake_vmm: skipped: full tmpfs: cannot mount, errno %d\n", errno);
		return;
	}
	CHECK(umount(store) == 0, "errno %d", errno);
	vmm_start(&vmm, dir, seed, 0, 16 * MIB);
	vmm.machine.vcpus[0].pattern = PATTERN_RANDOM;
	usleep(50000);
	branch_into_huge_pages(&vmm, store);
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
		for (size_t room = 64 * 1024; room <= 32 * MIB; room = room * 2 - random_below(&vmm.random, room / 2))
			branch_into(&vmm, store, room, &modes[m]);
}
