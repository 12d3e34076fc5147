#define _GNU_SOURCE
#include "branch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "armed.h"
#include "layer.h"
#include "qmp.h"
#include "window.h"

/* Runs the kernel reports per call of a scan. */
#define SCAN_BUFFER_RUNS 8192
/* The pre-copy ends when a pass finds this few written pages, or no longer halves them, or after this many passes. */
#define PRECOPY_ENOUGH_PAGES 128
#define PRECOPY_MAX_PASSES 5
/* The most the pause copies into its stage: 2,048 pages take about a millisecond; arming takes over above. */
#define STAGE_MAX_PAGES 2048
#define STAGE_MIN_PAGES 256
/* What is written inside the pause between two looks at the deadline: some milliseconds. */
#define WINDOW_WRITE_BYTES (1024 * 1024)
/* A disk tail up to this size is staged in memory; a longer one is written to its file inside the pause. */
#define TAIL_STAGE_BYTES (1024 * 1024)

/* What is being done before the window's body, and after it. */
#define SAVE_STATE "save the device state"

struct run_list {
	struct page_run *runs;
	size_t count;
	size_t capacity;
	size_t page_count;
};

struct branch {
	const struct branch_request *request;
	struct branch_report *report;
	struct ram *ram;
	struct tracker *tracker;
	struct window window;
	struct qmp qmp;
	struct armed armed;
	struct run_list found; /* what the latest scan found; after the window, the residue */
	struct page_run *scan_buffer;
	uint8_t *stage; /* page stage, then tail stage */
	size_t stage_bytes;
	size_t staged_tail_bytes;
	bool staged;
	int layer_fd;
	int durable_fd;
	int overlay_fd;
	int tail_fd;
};

static int note_run(void *arg, const struct page_run *run)
{
	struct run_list *list = arg;

	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : SCAN_BUFFER_RUNS;
		struct page_run *grown = realloc(list->runs, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->runs = grown;
		list->capacity = capacity;
	}
	list->runs[list->count++] = *run;
	list->page_count += (run->end - run->start) / PAGE_BYTES;
	return 0;
}

/* Fills branch->found. */
static int scan(struct branch *branch, enum scan_filter filter)
{
	struct ram *ram = branch->ram;
	uint64_t start = (uintptr_t)ram->base;

	branch->found.count = 0;
	branch->found.page_count = 0;
	if (filter == SCAN_PRIVATE && !kernel_has_pagemap_scan())
		return pagemap_read_private(ram->pagemap_fd, start, start + ram->bytes, note_run, &branch->found);
	return pagemap_scan(ram->pagemap_fd, start, start + ram->bytes, filter, branch->scan_buffer, SCAN_BUFFER_RUNS,
			    note_run, &branch->found);
}

/* Host addresses of RAM into the layer; inside the pause window in pieces, between which it looks at the deadline. */
static int write_range(struct branch *branch, uint64_t start, uint64_t end, bool in_window)
{
	while (start < end) {
		size_t bytes = end - start;
		int error;

		if (in_window && window_expired(&branch->window))
			return -ETIMEDOUT;
		if (in_window && bytes > WINDOW_WRITE_BYTES)
			bytes = WINDOW_WRITE_BYTES;
		/* The address is a run's, as the kernel reported it, or a layer run's in RAM. */
		error = layer_write(branch->layer_fd, (const void *)start, bytes, start - (uintptr_t)branch->ram->base);
		if (error)
			return error;
		start += bytes;
	}
	return 0;
}

static int write_found(struct branch *branch, bool in_window)
{
	for (size_t i = 0; i < branch->found.count; i++) {
		int error = write_range(branch, branch->found.runs[i].start, branch->found.runs[i].end, in_window);
		if (error)
			return error;
	}
	return 0;
}

/* Guest running: copies private pages until few enough are written meanwhile. */
static int precopy(struct branch *branch)
{
	uint64_t begun_ns = monotonic_ns();
	size_t previous = SIZE_MAX;
	enum scan_filter filter = SCAN_PRIVATE_AND_ARM;
	int error = 0;

	while (branch->report->passes < PRECOPY_MAX_PASSES) {
		error = scan(branch, filter);
		if (!error)
			error = write_found(branch, false);
		if (error)
			break;
		branch->report->passes++;
		branch->report->precopied_pages += branch->found.page_count;
		if (branch->found.page_count <= PRECOPY_ENOUGH_PAGES || branch->found.page_count > previous / 2)
			break;
		previous = branch->found.page_count;
		filter = SCAN_WRITTEN_AND_ARM;
	}
	branch->report->precopy_us = (monotonic_ns() - begun_ns) / 1000;
	return error;
}

static int reserve_stage(struct branch *branch)
{
	size_t pages = branch->found.page_count * 4;

	if (branch->request->tracking != TRACKING_ASYNC || pages > STAGE_MAX_PAGES)
		pages = STAGE_MAX_PAGES;
	if (pages < STAGE_MIN_PAGES)
		pages = STAGE_MIN_PAGES;
	branch->stage_bytes = pages * PAGE_BYTES;
	/* Faulted in now: allocation is what a pause must not pay for. */
	branch->stage = mmap(NULL, branch->stage_bytes + TAIL_STAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (branch->stage == MAP_FAILED) {
		branch->stage = NULL;
		return -errno;
	}
	return 0;
}

/* The residue to or from the stage, run by run. */
static void stage_found(struct branch *branch)
{
	uint8_t *to = branch->stage;

	for (size_t i = 0; i < branch->found.count; i++) {
		size_t bytes = branch->found.runs[i].end - branch->found.runs[i].start;
		memcpy(to, (const void *)branch->found.runs[i].start, bytes);
		to += bytes;
	}
	branch->staged = true;
}

static int unstage(struct branch *branch)
{
	const uint8_t *from = branch->stage;

	if (branch->staged) {
		for (size_t i = 0; i < branch->found.count; i++) {
			const struct page_run *run = &branch->found.runs[i];
			size_t bytes = run->end - run->start;
			int error = layer_write(branch->layer_fd, from, bytes,
						run->start - (uintptr_t)branch->ram->base);
			if (error)
				return error;
			from += bytes;
		}
	}
	if (branch->staged_tail_bytes == 0)
		return 0;
	return layer_write(branch->tail_fd, branch->stage + branch->stage_bytes, branch->staged_tail_bytes, 0);
}

static int copy_residue(struct branch *branch)
{
	if (branch->found.page_count * PAGE_BYTES <= branch->stage_bytes) {
		stage_found(branch);
		return 0;
	}
	if (armed_begin(&branch->armed, branch->found.runs, branch->found.count) == 0) {
		branch->report->armed_pages = branch->armed.page_count;
		return 0;
	}
	/* No synchronous tracking here: a longer pause is still an exact one. */
	return write_found(branch, true);
}

/* Inside the pause: the bytes of the young overlay. QEMU has drained and flushed it, so the file is whole. */
static int copy_tail(struct branch *branch)
{
	struct stat info;
	size_t done = 0;

	if (branch->overlay_fd < 0)
		return 0;
	if (fstat(branch->overlay_fd, &info) < 0)
		return -errno;
	branch->report->tail_bytes = (uint64_t)info.st_size;
	if (info.st_size > TAIL_STAGE_BYTES)
		return ftruncate(branch->tail_fd, info.st_size) < 0 ? -errno
								    : layer_copy(branch->overlay_fd, branch->tail_fd);
	while (done < (size_t)info.st_size) {
		ssize_t got = pread(branch->overlay_fd, branch->stage + branch->stage_bytes + done,
				    (size_t)info.st_size - done, (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	branch->staged_tail_bytes = done;
	return 0;
}

static int live_body(void *arg)
{
	struct branch *branch = arg;
	uint64_t begun_ns = monotonic_ns(), scanned_ns, copied_ns;
	bool noted = branch->request->tracking == TRACKING_ASYNC; /* not what an earlier branch left on */
	int error;

	branch->report->operation = "scan in the pause";
	error = scan(branch, noted ? SCAN_WRITTEN : SCAN_PRIVATE);
	if (error)
		return error;
	scanned_ns = monotonic_ns();
	branch->report->residue_pages = branch->found.page_count;
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

/*
 * What the layers from first_layer up hold, as RAM is now: where a layer above or a private page covers a run, that is
 * what is written. Written before the private pages, so that a page the guest changes meanwhile is written again.
 */
static int write_layers(struct branch *branch, size_t first_layer, bool in_window)
{
	uint64_t base = (uintptr_t)branch->ram->base;

	for (size_t i = 0; i < branch->ram->layer_run_count; i++) {
		const struct layer_run *run = &branch->ram->layer_runs[i];
		int error;

		if (run->layer < first_layer)
			continue;
		error = write_range(branch, base + run->start, base + run->end, in_window);
		if (error)
			return error;
	}
	return 0;
}

static int stopped_copy_body(void *arg)
{
	struct branch *branch = arg;
	uint64_t begun_ns = monotonic_ns(), scanned_ns;
	int error;

	branch->report->operation = "scan in the pause";
	error = scan(branch, SCAN_PRIVATE);
	scanned_ns = monotonic_ns();
	branch->report->scan_us = (scanned_ns - begun_ns) / 1000;
	branch->report->residue_pages = branch->found.page_count;
	branch->report->operation = "write the layer";
	if (!error && branch->request->mode == BRANCH_FULL)
		error = write_layers(branch, 0, true);
	if (!error)
		error = write_found(branch, true);
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
	branch->scan_buffer = malloc(SCAN_BUFFER_RUNS * sizeof(*branch->scan_buffer));
	if (!branch->scan_buffer)
		return -ENOMEM;
	error = armed_prepare(&branch->armed, branch->ram, branch->tracker, branch->layer_fd);
	if (error)
		return error;
	if (request->folds) {
		branch->report->operation = "fold layers";
		error = write_layers(branch, request->fold_from, false);
		if (error)
			return error;
	}
	if (live && request->tracking == TRACKING_ASYNC) {
		branch->report->operation = "track writes";
		error = tracker_switch(branch->tracker, branch->ram, TRACKING_ASYNC);
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
	error = unstage(branch);
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
	if (branch.stage)
		munmap(branch.stage, branch.stage_bytes + TAIL_STAGE_BYTES);
	free(branch.scan_buffer);
	free(branch.found.runs);
	close_files(&branch);
	return error;
}
