#define _GNU_SOURCE
#include "branch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "armed.h"
#include "capture.h"
#include "layer.h"
#include "qmp.h"
#include "stage.h"
#include "window.h"

/* The pre-copy ends when a pass finds this few written pages, or no longer halves them, or after this many passes. */
#define PRECOPY_ENOUGH_PAGES 128
#define PRECOPY_MAX_PASSES 5
/* The stage has room for this many times what the last pass of the pre-copy found. */
#define STAGE_RESERVE_FACTOR 4

/* What is being done before the window's body, and after it. */
#define SAVE_STATE "save the device state"

struct branch {
	const struct branch_request *request;
	struct branch_report *report;
	struct ram *ram;
	struct tracker *tracker;
	struct window window;
	struct qmp qmp;
	struct armed armed;
	struct capture capture; /* after the window, its runs are the residue */
	struct stage stage;
	int layer_fd;
	int durable_fd;
	int overlay_fd;
	int tail_fd;
};

/* Guest running: copies private pages until few enough are written meanwhile. */
static int precopy(struct branch *branch)
{
	uint64_t begun_ns = monotonic_ns();
	size_t previous = SIZE_MAX;
	enum scan_filter filter = SCAN_PRIVATE_AND_ARM;
	int error = 0;

	while (branch->report->passes < PRECOPY_MAX_PASSES) {
		error = capture_scan(&branch->capture, filter);
		if (!error)
			error = capture_write_found(&branch->capture, NULL);
		if (error)
			break;
		branch->report->passes++;
		branch->report->precopied_pages += branch->capture.page_count;
		if (branch->capture.page_count <= PRECOPY_ENOUGH_PAGES || branch->capture.page_count > previous / 2)
			break;
		previous = branch->capture.page_count;
		filter = SCAN_WRITTEN_AND_ARM;
	}
	branch->report->precopy_us = (monotonic_ns() - begun_ns) / 1000;
	return error;
}

static int reserve_stage(struct branch *branch)
{
	bool precopied = branch->request->tracking == TRACKING_ASYNC;

	return stage_reserve(&branch->stage, precopied ? branch->capture.page_count * STAGE_RESERVE_FACTOR : SIZE_MAX);
}

static int copy_residue(struct branch *branch)
{
	if (stage_pages(&branch->stage, &branch->capture) == 0)
		return 0;
	if (armed_begin(&branch->armed, branch->capture.runs, branch->capture.run_count) == 0) {
		branch->report->armed_pages = branch->armed.page_count;
		return 0;
	}
	/* No synchronous tracking here: a longer pause is still an exact one. */
	return capture_write_found(&branch->capture, &branch->window);
}

/* Inside the pause: the bytes of the young overlay. QEMU has drained and flushed it, so the file is whole. */
static int copy_tail(struct branch *branch)
{
	struct stat info;

	if (branch->overlay_fd < 0)
		return 0;
	if (fstat(branch->overlay_fd, &info) < 0)
		return -errno;
	branch->report->tail_bytes = (uint64_t)info.st_size;
	if (info.st_size <= STAGE_TAIL_BYTES)
		return stage_tail(&branch->stage, branch->overlay_fd, (size_t)info.st_size);
	return ftruncate(branch->tail_fd, info.st_size) < 0 ? -errno : layer_copy(branch->overlay_fd, branch->tail_fd);
}

static int live_body(void *arg)
{
	struct branch *branch = arg;
	uint64_t begun_ns = monotonic_ns(), scanned_ns, copied_ns;
	bool noted = branch->request->tracking == TRACKING_ASYNC; /* not what an earlier branch left on */
	int error;

	branch->report->operation = "scan in the pause";
	error = capture_scan(&branch->capture, noted ? SCAN_WRITTEN : SCAN_PRIVATE);
	if (error)
		return error;
	scanned_ns = monotonic_ns();
	branch->report->residue_pages = branch->capture.page_count;
	branch->report->operation = "copy the residue";
	error = copy_residue(branch);
	if (error)
		return error;
	copied_ns = monotonic_ns();
	branch->report->operation = "copy the disk tail";
	error = copy_tail(branch);
	branch->report->scan_us = (scanned_ns - begun_ns) / 1000;
	branch->report->copy_us = (copied_ns - scanned_ns) / 1000;
	branch->report->tail_us = (monotonic_ns() - copied_ns) / 1000;
	if (!error)
		branch->report->operation = SAVE_STATE;
	return error;
}

static int stopped_copy_body(void *arg)
{
	struct branch *branch = arg;
	uint64_t begun_ns = monotonic_ns(), scanned_ns;
	int error;

	branch->report->operation = "scan in the pause";
	error = capture_scan(&branch->capture, SCAN_PRIVATE);
	scanned_ns = monotonic_ns();
	branch->report->scan_us = (scanned_ns - begun_ns) / 1000;
	branch->report->residue_pages = branch->capture.page_count;
	branch->report->operation = "write the layer";
	if (!error && branch->request->mode == BRANCH_FULL)
		error = capture_write_layers(&branch->capture, 0, &branch->window);
	if (!error)
		error = capture_write_found(&branch->capture, &branch->window);
	if (!error && branch->durable_fd >= 0) {
		branch->report->operation = "write the durable layer";
		error = layer_copy(branch->layer_fd, branch->durable_fd);
		if (!error && fsync(branch->durable_fd) < 0)
			error = -errno;
	}
	branch->report->copy_us = (monotonic_ns() - scanned_ns) / 1000;
	if (error)
		return error;
	branch->report->operation = "copy the disk tail";
	error = copy_tail(branch);
	if (!error)
		branch->report->operation = SAVE_STATE;
	return error;
}

static int open_files(struct branch *branch)
{
	const struct branch_request *request = branch->request;
	int error;

	branch->report->operation = "create the layer";
	error = layer_create(request->layer, branch->ram->bytes, &branch->layer_fd);
	if (!error && request->durable) {
		branch->report->operation = "create the durable layer";
		error = layer_create(request->durable, branch->ram->bytes, &branch->durable_fd);
	}
	if (error || !request->overlay)
		return error;
	branch->report->operation = "open the disk overlay";
	branch->overlay_fd = open(request->overlay, O_RDONLY | O_CLOEXEC);
	if (branch->overlay_fd < 0)
		return -errno;
	branch->report->operation = "create the disk tail";
	return layer_create(request->tail, 0, &branch->tail_fd);
}

static void close_files(struct branch *branch)
{
	int fds[] = {branch->layer_fd, branch->durable_fd, branch->overlay_fd, branch->tail_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Everything before the pause, guest running. */
static int prepare(struct branch *branch, uint64_t deadline_ns)
{
	const struct branch_request *request = branch->request;
	bool live = request->mode == BRANCH_LIVE;
	int error = open_files(branch);

	if (error)
		return error;
	branch->report->operation = "connect to QMP";
	error = qmp_connect(&branch->qmp, request->qmp_path, deadline_ns);
	if (error)
		return error;
	branch->report->operation = "reserve memory for the pause";
	error = capture_prepare(&branch->capture, branch->ram, branch->layer_fd);
	if (error)
		return error;
	error = armed_prepare(&branch->armed, branch->ram, branch->tracker, branch->layer_fd);
	if (error)
		return error;
	if (request->folds) {
		branch->report->operation = "fold layers";
		error = capture_write_layers(&branch->capture, request->fold_from, NULL);
		if (error)
			return error;
	}
	if (live && request->tracking == TRACKING_ASYNC) {
		branch->report->operation = "track writes";
		error = tracker_start(branch->tracker, branch->ram);
		if (error)
			return error;
		branch->report->operation = "pre-copy";
		error = precopy(branch);
		if (error)
			return error;
	}
	branch->report->operation = "reserve memory for the pause";
	error = reserve_stage(branch);
	if (error || !request->before)
		return error;
	branch->report->operation = "run the command before the pause";
	/* A deadline of its own: a long pre-copy must not make a command that QEMU carries out look as if it had failed. */
	error = qmp_execute(&branch->qmp, request->before, monotonic_ns() + request->deadline_ms * 1000000);
	branch->report->switched = !error;
	return error;
}

/* Guest running again: what is not in its files yet. */
static int finish(struct branch *branch)
{
	uint64_t begun_ns = monotonic_ns();
	int error;

	branch->report->operation = "sweep";
	error = armed_finish(&branch->armed);
	branch->report->fault_count = branch->armed.sweep.fault_count;
	branch->report->sweep_us = (monotonic_ns() - begun_ns) / 1000;
	if (error)
		return error;
	branch->report->operation = "write what the pause staged";
	error = stage_write(&branch->stage, &branch->capture, branch->tail_fd);
	if (error)
		return error;
	branch->report->operation = "list the layer";
	return layer_runs(branch->layer_fd, &branch->report->runs, &branch->report->captured_bytes);
}

int branch_run(struct ram *ram, struct tracker *tracker, const struct branch_request *request,
	       struct branch_report *report, void (*running)(void *arg, const struct branch_report *report), void *arg)
{
	struct branch branch = {
		.request = request,
		.report = report,
		.ram = ram,
		.tracker = tracker,
		.qmp.fd = -1,
		.armed.stop_fd = -1,
		.layer_fd = -1,
		.durable_fd = -1,
		.overlay_fd = -1,
		.tail_fd = -1,
		.window.state_path = request->state,
		.window.body = request->mode == BRANCH_LIVE ? live_body : stopped_copy_body,
		.window.arg = &branch,
	};
	uint64_t deadline_ns = monotonic_ns() + request->deadline_ms * 1000000;
	int error;

	*report = (struct branch_report){.operation = "start"};
	error = prepare(&branch, deadline_ns);
	if (!error) {
		branch.window.deadline_ns = monotonic_ns() + request->deadline_ms * 1000000;
		report->operation = SAVE_STATE;
		error = window_run(&branch.window, &branch.qmp);
	}
	if (!error) {
		report->pause_us = (branch.window.replied_ns - branch.window.sent_ns) / 1000;
		report->events_us = branch.window.events_us;
		report->stop_us = (branch.window.entered_ns - branch.window.sent_ns) / 1000;
		report->state_us = (branch.window.replied_ns - branch.window.left_ns) / 1000;
		running(arg, report);
		error = finish(&branch);
	}
	/* After a failure pages may still be armed: the guest must get them back before anything else. */
	if (branch.armed.stop_fd >= 0)
		armed_destroy(&branch.armed);
	if (branch.qmp.fd >= 0)
		qmp_close(&branch.qmp);
	stage_destroy(&branch.stage);
	capture_destroy(&branch.capture);
	close_files(&branch);
	return error;
}
