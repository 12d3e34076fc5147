/*
 * line.c - one branch after another of the same machine, each going on from the one before: every snapshot is the stop it is of.
 *
 * In between come what a line must not survive (branches that fail at any step, that are of another mode, that nobody heard of) and
 * what it must (a line whose layers were merged). A line that may not go on is captured whole, and begins anew.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_vmm.h"

#define MIB (1024 * 1024ul)
#define BRANCHES 10
#define FAILED "failed"

struct line {
	struct vmm *vmm;
	bool goes_on;	 /* the pager's latest branch is the last of ours */
	char name[64];
	unsigned serial;
};

static void write_somewhere(struct vmm *vmm)
{
	struct machine *machine = &vmm->machine;
	size_t count = random_below(&vmm->random, 200), page = random_below(&vmm->random, machine->page_count);

	for (size_t i = 0; i < machine->vcpu_count; i++)
		machine->vcpus[i].pattern = random_below(&vmm->random, 3) ? PATTERN_IDLE : (int)random_below(&vmm->random, PATTERN_COUNT);
	for (size_t i = 0; i < count; i++)
		machine_write_page(machine, (page + i) % machine->page_count, random_next(&vmm->random));
	usleep((useconds_t)random_below(&vmm->random, 5000));
}

/* Puts what the upper of two neighbours holds over what the lower one does, as a file of its own. */
static void merge_neighbours(struct line *line)
{
	struct vmm *vmm = line->vmm;
	size_t bytes = vmm->machine.ram_bytes, at;
	char path[192];

	if (vmm->own_count < 2)
		return;
	at = random_below(&vmm->random, vmm->own_count - 1);
	snprintf(path, sizeof(path), "%s/merged-%zu-%u", vmm->dir, vmm->depth, line->serial);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "%s: errno %d", path, errno);
	for (size_t i = at; i < at + 2; i++) {
		off_t data, hole = 0;
		int from = open(vmm->own[i], O_RDONLY | O_CLOEXEC);

		CHECK(from >= 0, "%s: errno %d", vmm->own[i], errno);
		while ((data = lseek(from, hole, SEEK_DATA)) >= 0) {
			hole = lseek(from, data, SEEK_HOLE);
			CHECK(pread(from, vmm->rebuilt, (size_t)(hole - data), data) == hole - data, "errno %d", errno);
			CHECK(pwrite(fd, vmm->rebuilt, (size_t)(hole - data), data) == hole - data, "errno %d", errno);
		}
		close(from);
		unlink(vmm->own[i]);
	}
	close(fd);
	strcpy(vmm->own[at], path);
	memmove(vmm->own[at + 1], vmm->own[at + 2], (--vmm->own_count - at - 1) * sizeof(vmm->own[0]));
}

/* One that fails, before it has armed anything or long after. */
static void fail(struct line *line)
{
	static const struct branch_plan plans[] = {
		{.mode = "live", .deadline_ms = 5000, .script = QMP_SAVE_FAILS_LAST},
		{.mode = "live", .deadline_ms = 5000, .script = QMP_SAVE_FAILS_FIRST},
		{.mode = "live", .deadline_ms = 5000, .script = QMP_CLOSES},
		{.mode = "live", .deadline_ms = 50, .script = QMP_NO_GREETING},
		{.mode = "live", .deadline_ms = 20000, .runs_max = 1},
		{.mode = "diff", .deadline_ms = 5000, .script = QMP_SAVE_FAILS_LAST},
	};
	struct vmm *vmm = line->vmm;
	struct branch_plan plan = plans[random_below(&vmm->random, sizeof(plans) / sizeof(plans[0]))];

	plan.name = FAILED;
	plan.since = line->name;
	if (plan.runs_max)
		for (size_t page = 0; page < 8; page += 2)
			machine_write_page(&vmm->machine, page, page);
	vmm->qmp.script_ms = plan.deadline_ms + 100;
	unsigned saves = vmm->qmp.saves;
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(!outcome.ok, "script %d: the branch works", (int)plan.script);
	if (plan.script != QMP_NO_GREETING)
		CHECK(vmm_saved(vmm, saves + 1), "the machine was never run again");
	vmm_check_alive(vmm);
	vmm_forget(vmm);
	line->goes_on = false;
}

/* One that succeeds and is no part of the line: in another mode, or without the daemon's hearing of it. */
static void branch_aside(struct line *line)
{
	static const struct branch_plan plans[] = {
		{.mode = "diff", .name = "aside", .deadline_ms = 20000},
		{.mode = "full", .name = "aside", .deadline_ms = 20000},
		{.mode = "live", .tracking = "sync", .name = "aside", .deadline_ms = 20000},
		{.mode = "live", .name = "aside", .deadline_ms = 20000},
		{.mode = "live", .deadline_ms = 20000},
	};
	struct vmm *vmm = line->vmm;
	const struct branch_plan *plan = &plans[random_below(&vmm->random, sizeof(plans) / sizeof(plans[0]))];
	struct branch_outcome outcome = vmm_branch(vmm, plan);

	CHECK(outcome.ok && !outcome.went_on, "%s: errno %d, %s", plan->mode, outcome.error, outcome.operation);
	vmm_forget(vmm);
	line->goes_on = false;
	/* Whoever names a branch that was not tracked is not believed. */
	if (plan->name && (plan->mode[0] != 'l' || plan->tracking) && random_below(&vmm->random, 2))
		strcpy(line->name, plan->name);
}

static struct branch_plan next_of(struct line *line, char *name, size_t size)
{
	struct vmm *vmm = line->vmm;
	struct branch_plan plan = {.mode = "live", .deadline_ms = 20000, .name = name, .since = line->name};

	snprintf(name, size, "branch-%zu-%u", vmm->depth, ++line->serial);
	plan.disk = random_below(&vmm->random, 2);
	plan.spares = 2;
	/* As the line began: one that is folded stands on the layers below the fold for as long as it lasts. */
	plan.folds = vmm->layer_count > 2;
	plan.fold_from = 1;
	return plan;
}

static void branch(struct line *line)
{
	struct vmm *vmm = line->vmm;
	char name[sizeof(line->name)];
	struct branch_plan plan = next_of(line, name, sizeof(name));
	bool is_tracked = vmm->tracking == ON_ASYNC;

	/* Layers that are not there any more: whole, and not wrong. */
	bool is_lost = vmm->own_count > 0 && random_below(&vmm->random, 12) == 0;
	if (is_lost)
		unlink(vmm->own[random_below(&vmm->random, vmm->own_count)]);
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	CHECK(outcome.went_on == (line->goes_on && !is_lost && is_tracked), "branch %s of %s: went on: %d", name, line->name, outcome.went_on);
	vmm_go_on_from(vmm, &plan);
	strcpy(line->name, name);
	line->goes_on = is_tracked;
}

/* A child of the line: what it stands on are the mapped layers below the line, and the line's. */
static void keep_line(struct line *line)
{
	struct vmm *vmm = line->vmm;
	char name[sizeof(line->name)];
	struct branch_plan plan = next_of(line, name, sizeof(name));
	struct branch_outcome outcome = vmm_branch(vmm, &plan);

	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	vmm_keep(vmm, &plan);
}

/* A guest that rests: what is captured is what was written, though much else is private. */
static void check_size(struct line *line)
{
	struct vmm *vmm = line->vmm;
	size_t written = 100;

	for (size_t i = 0; i < vmm->machine.vcpu_count; i++)
		vmm->machine.vcpus[i].pattern = PATTERN_IDLE;
	for (size_t page = 0; page < vmm->machine.page_count; page += 2)
		machine_write_page(&vmm->machine, page, page);
	branch(line);
	if (!line->goes_on)
		return;
	branch(line); /* the residue of the one before, once more */
	for (size_t page = 0; page < written; page++)
		machine_write_page(&vmm->machine, page * 3, page);
	char name[sizeof(line->name)];
	struct branch_plan plan = next_of(line, name, sizeof(name));
	struct branch_outcome outcome = vmm_branch(vmm, &plan);
	CHECK(outcome.ok, "errno %d, %s", outcome.error, outcome.operation);
	if (outcome.went_on)
		CHECK(outcome.captured_bytes <= 2 * written * MACHINE_PAGE, "%lu bytes captured", (unsigned long)outcome.captured_bytes);
	vmm_forget(vmm);
	line->goes_on = false;
}

/* Whatever comes after it is named, the one before it or that itself. */
static void fail_in_line(struct line *line)
{
	for (int i = 0; i < 8; i++) {
		branch(line);
		fail(line);
		if (i % 2)
			strcpy(line->name, FAILED);
		write_somewhere(line->vmm);
		branch(line);
	}
}

void scenario_line(const char *dir, uint64_t seed, size_t depth)
{
	static struct vmm vmm; /* its threads outlive this function */
	uint64_t lineage = seed;
	size_t ram_bytes = (4ul << random_below(&lineage, 3)) * MIB;
	struct line line = {.vmm = &vmm, .name = "none"};

	vmm_start(&vmm, dir, seed + depth * 1000003, depth, ram_bytes);
	for (size_t i = 0; i < BRANCHES; i++) {
		uint64_t chance = random_below(&vmm.random, 10);

		write_somewhere(&vmm);
		if (chance == 0)
			fail(&line);
		else if (chance == 1)
			branch_aside(&line);
		else if (chance == 2)
			merge_neighbours(&line);
		write_somewhere(&vmm);
		branch(&line);
	}
	if (depth == 0)
		fail_in_line(&line);
	else
		check_size(&line);
	keep_line(&line);
	vmm_check_alive(&vmm);
}
