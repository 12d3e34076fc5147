#define _GNU_SOURCE
#include "branch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "aside.h"
#include "fit.h"
#include "layer.h"
#include "memory.h"
#include "qmp.h"
#include "window.h"

struct branch {
	const struct branch_request *request;
	struct branch_report *report;
	struct ram *ram;
	struct window window;
	struct branch_outcome in_window; /* of what runs while QEMU holds the command */
	struct qmp *qmp;
	struct disk disk;
	struct memory memory;
	struct ground ground;
	struct aside durable_copy;
	int layer_fd;
	int durable_fd;
};

/* One thing a branch does; a list of them ends with one that has no run(). */
struct step {
	const char *operation; /* completes "could not ..." */
	int (*run)(struct branch *branch);
	size_t time; /* offset in the report of the microseconds it takes; 0: not told */
};
#define TIME(field) offsetof(struct branch_report, field)

static struct branch_outcome run_steps(struct branch *branch, const struct step *step)
{
	int error = 0;

	for (; step->run && !error; step++) {
		uint64_t begun_ns = monotonic_ns();

		error = step->run(branch);
		/* TIME() is the offset of a uint64_t in just this structure. */
		if (step->time)
			*(uint64_t *)((char *)branch->report + step->time) += (monotonic_ns() - begun_ns) / 1000;
		if (error)
			return (struct branch_outcome){error, step->operation};
	}
	return (struct branch_outcome){0, NULL};
}

static int take_tail(struct branch *branch)
{
	return disk_take_tail(&branch->disk, branch->memory.stage, &branch->window);
}

static int track_writes(struct branch *branch)
{
	return memory_track(&branch->memory);
}

static int precopy(struct branch *branch)
{
	return memory_precopy(&branch->memory);
}

static int last_pass(struct branch *branch)
{
	return memory_last_pass(&branch->memory);
}

static int scan_in_pause(struct branch *branch)
{
	return memory_scan_stopped(&branch->memory);
}

static int copy_residue(struct branch *branch)
{
	return memory_take_residue(&branch->memory, &branch->window);
}

static int write_layer(struct branch *branch)
{
	return memory_write_stopped(&branch->memory, branch->request->mode == BRANCH_FULL, &branch->window);
}

static int copy_durably(void *arg)
{
	struct branch *branch = arg;
	int error = layer_copy(branch->layer_fd, branch->durable_fd, &branch->window);

	if (!error && fsync(branch->durable_fd) < 0)
		error = -errno;
	return error;
}

static int write_durable_layer(struct branch *branch)
{
	if (branch->durable_fd < 0)
		return 0;
	branch->durable_copy = (struct aside){.work = copy_durably, .arg = branch};
	return aside_run(&branch->durable_copy, branch->window.deadline_ns);
}

static int create_layer(struct branch *branch)
{
	return layer_create(branch->request->layer, branch->ram->bytes, &branch->layer_fd);
}

static int create_durable_layer(struct branch *branch)
{
	if (!branch->request->durable)
		return 0;
	return layer_create(branch->request->durable, branch->ram->bytes, &branch->durable_fd);
}

static int open_disk(struct branch *branch)
{
	return disk_open(&branch->disk, &branch->request->disk);
}

static uint64_t deadline_from_now(const struct branch *branch)
{
	return monotonic_ns() + branch->request->deadline_ms * 1000000;
}

static int connect_qmp(struct branch *branch)
{
	return branch->qmp->begun ? 0 : qmp_connect(branch->qmp, branch->request->qmp_path, deadline_from_now(branch));
}

static int prepare_memory(struct branch *branch)
{
	return memory_prepare(&branch->memory, branch->ram, branch->layer_fd);
}

/* What the branch gone on from has folded is in its layers. */
static int fold_layers(struct branch *branch)
{
	if (!branch->request->folds || branch->memory.goes_on)
		return 0;
	return capture_write_layers(&branch->memory.capture, branch->request->fold_from, NULL);
}

/* A capture that stands still stages no pages, but the tail. */
static int reserve_stage(struct branch *branch)
{
	return branch->request->mode == BRANCH_LIVE ? memory_reserve_stage(&branch->memory) : stage_reserve(branch->memory.stage, 0);
}

static int settle_disk(struct branch *branch)
{
	/* A deadline of its own: a long pre-copy must not make a command that QEMU carries out look as if it had failed. */
	return disk_settle(&branch->disk, branch->qmp, deadline_from_now(branch));
}

static int switch_when_stopped(struct branch *branch)
{
	return disk_switch_stopped(&branch->disk, &branch->window.when_stopped);
}

static int sweep(struct branch *branch)
{
	return memory_sweep(&branch->memory);
}

static int write_staged(struct branch *branch)
{
	return stage_write(branch->memory.stage, &branch->memory.capture, branch->disk.tail_fd);
}

static int keep_mappable(struct branch *branch)
{
	return fit_layer(&branch->ground, branch->layer_fd, branch->durable_fd);
}

static int list_layer(struct branch *branch)
{
	return layer_runs(branch->layer_fd, &branch->report->runs, &branch->report->captured_bytes);
}

static int check_list(struct branch *branch)
{
	return strlen(branch->report->runs) > branch->request->runs_max ? -E2BIG : 0;
}

static const struct step before_pause[] = {
	{"create the layer", create_layer, TIME(prepare_us)},
	{"create the durable layer", create_durable_layer, TIME(prepare_us)},
	{"open the disk overlay and create its tail", open_disk, TIME(prepare_us)},
	{"connect to QMP", connect_qmp, TIME(prepare_us)},
	{"reserve memory for the pause", prepare_memory, TIME(prepare_us)},
	{"fold layers", fold_layers, TIME(prepare_us)},
	{"track writes", track_writes, TIME(prepare_us)},
	{"pre-copy", precopy, TIME(precopy_us)},
	{"reserve memory for the pause", reserve_stage, TIME(reserve_us)},
	{"switch the disk overlay", settle_disk, 0},
	{0},
};
static const struct step before_next_pause[] = {{"switch the disk overlay", switch_when_stopped, 0}, {0}};
static const struct step approach[] = {{"pre-copy", last_pass, TIME(precopy_us)}, {0}};
/* The tail first: only it can end a pause that is then tried again. */
static const struct step live_pause[] = {
	{"copy the disk tail", take_tail, TIME(tail_us)},
	{"scan in the pause", scan_in_pause, TIME(scan_us)},
	{"copy the residue", copy_residue, TIME(copy_us)},
	{0},
};
static const struct step stopped_pause[] = {
	{"copy the disk tail", take_tail, TIME(tail_us)},
	{"scan in the pause", scan_in_pause, TIME(scan_us)},
	{"write the layer", write_layer, TIME(copy_us)},
	{"write the durable layer", write_durable_layer, TIME(copy_us)},
	{0},
};
static const struct step after_pause[] = {
	{"sweep", sweep, TIME(sweep_us)},
	{"write what the pause staged", write_staged, 0},
	{"keep the layer within vm.max_map_count", keep_mappable, 0},
	{"list the layer", list_layer, 0},
	{"tell all runs of the layer in one answer", check_list, 0},
	{0},
};

/* How many of the mapped layers the new one stands on. */
static size_t mapped_below(const struct branch *branch)
{
	const struct branch_request *request = branch->request;

	if (request->mode == BRANCH_FULL)
		return 0;
	return request->folds ? request->fold_from : branch->ram->layer_count;
}

/* Goes on from the branch that was asked for, if that is the latest and its layers can be stood on. */
static void lay_ground(struct branch *branch)
{
	const struct branch_request *request = branch->request;
	struct tracker *tracker = branch->memory.tracker;
	uint64_t begun_ns = monotonic_ns();

	ground_lay(&branch->ground, branch->ram, mapped_below(branch));
	branch->memory.goes_on = branch->memory.is_tracked && request->since && tracker_knows(tracker, request->since) &&
				 ground_lay_own(&branch->ground, request->own, request->own_count, request->own_runs);
	branch->report->went_on = branch->memory.goes_on;
	tracker_forget(tracker);
	branch->report->prepare_us += (monotonic_ns() - begun_ns) / 1000;
}

static int run_in_window(struct branch *branch, const struct step *steps)
{
	branch->in_window = run_steps(branch, steps);
	return branch->in_window.error;
}

static int run_approach(void *arg)
{
	struct branch *branch = arg;
	int error = run_in_window(branch, approach);

	/* How long that took is no reason to cut the pause short. */
	branch->window.deadline_ns = deadline_from_now(branch);
	return error;
}

static int run_live_pause(void *arg)
{
	return run_in_window(arg, live_pause);
}

static int run_stopped_pause(void *arg)
{
	return run_in_window(arg, stopped_pause);
}

static struct branch_outcome pause_once(struct branch *branch)
{
	struct window *window = &branch->window;
	struct branch_report *report = branch->report;
	struct branch_outcome outcome;

	window->deadline_ns = deadline_from_now(branch);
	branch->in_window = (struct branch_outcome){0, NULL};
	report->windows++;
	outcome.error = window_run(window, branch->qmp);
	if (outcome.error && branch->in_window.error)
		return branch->in_window;
	outcome.operation = window->when_stopped_failed ? "switch the disk overlay" : "save the device state";
	report->switches = branch->disk.switches;
	report->tail_bytes = branch->disk.tail_bytes;
	report->pause_us = (window->replied_ns - window->sent_ns) / 1000;
	report->events_us = window->events_us;
	report->stop_us = (window->entered_ns - window->sent_ns) / 1000;
	report->state_us = (window->replied_ns - window->entered_ns) / 1000;
	return outcome;
}

/* In the end one that has captured, or has failed for good. */
static struct branch_outcome pause_guest(struct branch *branch)
{
	struct branch_outcome outcome = pause_once(branch);

	while (outcome.error && disk_may_retry(&branch->disk)) {
		outcome = run_steps(branch, before_next_pause);
		if (!outcome.error)
			outcome = pause_once(branch);
	}
	if (outcome.error && branch->disk.outgrown)
		outcome.operation = "switch the disk overlay as fast as the guest writes to it";
	return outcome;
}

struct branch_outcome branch_run(struct ram *ram, struct tracker *tracker, struct stage *stage, struct qmp *qmp,
				 const struct branch_request *request, struct branch_report *report,
				 void (*running)(void *arg, const struct branch_report *report), void *arg)
{
	struct branch branch = {
		.request = request,
		.report = report,
		.ram = ram,
		.qmp = qmp,
		.disk = DISK_CLOSED,
		.memory = MEMORY_CLOSED(tracker, stage),
		.layer_fd = -1,
		.durable_fd = -1,
		.window.state_path = request->state,
		.window.approach = run_approach,
		.window.body = request->mode == BRANCH_LIVE ? run_live_pause : run_stopped_pause,
		.window.arg = &branch,
	};
	struct branch_outcome outcome;

	*report = (struct branch_report){0};
	branch.memory.is_tracked = request->mode == BRANCH_LIVE && request->tracking == TRACKING_ASYNC;
	branch.memory.report = &report->memory;
	lay_ground(&branch);
	outcome = run_steps(&branch, before_pause);
	if (!outcome.error)
		outcome = pause_guest(&branch);
	if (!outcome.error) {
		running(arg, report);
		outcome = run_steps(&branch, after_pause);
	}
	/* First: what is armed keeps the guest waiting. */
	memory_close(&branch.memory);
	if (!outcome.error && branch.memory.is_tracked)
		tracker_remember(tracker, request->name);
	ground_close(&branch.ground);
	aside_end(&branch.durable_copy);
	qmp_close(qmp);
	disk_close(&branch.disk);
	if (branch.layer_fd >= 0)
		close(branch.layer_fd);
	if (branch.durable_fd >= 0)
		close(branch.durable_fd);
	return outcome;
}
