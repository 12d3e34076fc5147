#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "branch.h"
#include "protocol.h"
#include "thread.h"
#include "window.h"

#define MAX_FIELDS 4200 /* a map request names one layer per field */
/* How long QEMU may take to read what the next branch begins with. Who comes to ask for one meanwhile would wait for QEMU as well. */
#define READY_PATIENCE_NS 1000000000ull

struct request {
	char *fields[MAX_FIELDS];
	size_t count;
};

/* The one guest of this process. Only the control thread touches it. */
static struct {
	struct ram ram;
	struct tracker tracker;
	struct stage stage;
	struct qmp qmp; /* connected in a branch, or for the next */
	char *qmp_path;
	int ready_ms; /* when to make ready for the next branch; -1: not any more */
	int listen_fd;
	int connection_fd;
} pager = {.qmp.fd = -1, .ready_ms = -1, .connection_fd = -1};

static void answer(const char *line, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(pager.connection_fd, line, length, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return; /* the daemon is gone; the next read says so */
		line += sent;
		length -= (size_t)sent;
	}
}

__attribute__((format(printf, 1, 2))) static void answerf(const char *format, ...)
{
	char *line;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&line, format, args);
	va_end(args);
	if (length < 0) {
		static const char no_memory[] = "error\terrno=12\toperation=answer\n";
		answer(no_memory, sizeof(no_memory) - 1);
		return;
	}
	answer(line, (size_t)length);
	free(line);
}

static void answer_error(int error, const char *operation)
{
	answerf("error\terrno=%d\toperation=%s\n", -error, operation);
}

static const char *find_field(const struct request *request, const char *key)
{
	size_t length = strlen(key);

	for (size_t i = 1; i < request->count; i++)
		if (strncmp(request->fields[i], key, length) == 0 && request->fields[i][length] == '=')
			return request->fields[i] + length + 1;
	return NULL;
}

static const char *tracking_name(enum tracking kind)
{
	static const char *const names[] = {[TRACKING_NONE] = "none", [TRACKING_SYNC] = "sync", [TRACKING_ASYNC] = "async"};
	return names[kind];
}

static void handle_hello(const struct request *request)
{
	(void)request;
	answerf("ok\tversion=%d\tpage_bytes=%lu\ttracking=%s\n", PAGER_PROTOCOL_VERSION, PAGE_BYTES,
		tracking_name(kernel_probe()));
}

static void handle_map(const struct request *request)
{
	const char *marker = find_field(request, "marker");
	int error = marker ? ram_map(&pager.ram, marker) : -EINVAL;

	if (error) {
		answer_error(error, "map RAM");
		return;
	}
	for (size_t i = 1; i < request->count; i++) {
		if (strncmp(request->fields[i], "layer=", 6) != 0)
			continue;
		error = ram_map_layer(&pager.ram, request->fields[i] + 6);
		if (error) {
			answer_error(error, error == -E2BIG ? "map a layer: too many runs for vm.max_map_count" : "map a layer");
			return;
		}
	}
	answerf("ok\tram_bytes=%zu\tmapped_runs=%zu\n", pager.ram.bytes, pager.ram.layer_run_count);
}

static void answer_running(void *arg, const struct branch_report *report)
{
	(void)arg;
	answerf("running\tpause_us=%" PRIu64 "\tevents_us=%" PRIu64 "\tstop_us=%" PRIu64 "\tscan_us=%" PRIu64 "\tcopy_us=%" PRIu64
		"\ttail_us=%" PRIu64 "\tstate_us=%" PRIu64 "\tprecopy_us=%" PRIu64
		"\tprepare_us=%" PRIu64 "\treserve_us=%" PRIu64 "\tprecopied_pages=%zu\tpasses=%u\tresidue_pages=%zu\tarmed_pages=%zu\tarm_errno=%d\ttail_bytes=%" PRIu64
		"\twindows=%u\tswitches=%zu\n",
		report->pause_us, report->events_us, report->stop_us, report->scan_us, report->copy_us, report->tail_us,
		report->state_us, report->precopy_us, report->prepare_us, report->reserve_us, report->memory.precopied_pages, report->memory.passes, report->memory.residue_pages, report->memory.armed_pages,
		-report->memory.arm_error,
		report->tail_bytes, report->windows, report->switches);
}

/* Fills mode and tracking. False when a word is not one of them. */
static bool read_mode(const struct request *request, struct branch_request *branch)
{
	const char *mode = find_field(request, "mode");
	const char *tracking = find_field(request, "tracking");

	if (!mode)
		return false;
	if (strcmp(mode, "live") == 0)
		branch->mode = BRANCH_LIVE;
	else if (strcmp(mode, "diff") == 0)
		branch->mode = BRANCH_DIFF;
	else if (strcmp(mode, "full") == 0)
		branch->mode = BRANCH_FULL;
	else
		return false;
	branch->tracking = kernel_probe();
	if (!tracking || strcmp(tracking, "async") == 0)
		return true;
	if (strcmp(tracking, "sync") != 0)
		return false;
	if (branch->tracking == TRACKING_ASYNC)
		branch->tracking = TRACKING_SYNC;
	return true;
}

/* The spares: each `spare` goes with the `switch` at the same place among those. False when they do not pair up. */
static bool read_spares(const struct request *request, struct disk_request *disk)
{
	size_t commands = 0;

	for (size_t i = 1; i < request->count; i++) {
		char *field = request->fields[i];

		if (strncmp(field, "spare=", 6) == 0) {
			if (disk->spare_count == DISK_MAX_SPARES)
				return false;
			disk->spares[disk->spare_count++].overlay = field + 6;
		} else if (strncmp(field, "switch=", 7) == 0) {
			if (commands == DISK_MAX_SPARES)
				return false;
			disk->spares[commands++].command = field + 7;
		}
	}
	return commands == disk->spare_count;
}

static bool read_disk(const struct request *request, struct disk_request *disk)
{
	disk->overlay = find_field(request, "overlay");
	disk->tail = find_field(request, "tail");
	return read_spares(request, disk) && (disk->overlay ? disk->tail != NULL : disk->spare_count == 0);
}

/* Fills since and the layers to stand on. False when there are too many. */
static bool read_since(const struct request *request, struct branch_request *branch)
{
	const char *runs = find_field(request, "own_runs");

	branch->since = find_field(request, "since");
	branch->own_runs = runs ? strtoull(runs, NULL, 10) : 0;
	for (size_t i = 1; i < request->count; i++) {
		if (strncmp(request->fields[i], "own=", 4) != 0)
			continue;
		if (branch->own_count == GROUND_MAX_OWN)
			return false;
		branch->own[branch->own_count++] = request->fields[i] + 4;
	}
	return branch->since || branch->own_count == 0;
}

static bool read_branch(const struct request *request, struct branch_request *branch)
{
	const char *deadline = find_field(request, "deadline_ms");
	const char *fold_from = find_field(request, "fold_from");
	const char *runs_max = find_field(request, "runs_max");

	*branch = (struct branch_request){
		.qmp_path = pager.qmp_path,
		.layer = find_field(request, "layer"),
		.state = find_field(request, "state"),
		.durable = find_field(request, "durable"),
		.name = find_field(request, "name"),
		.folds = fold_from != NULL,
		.fold_from = fold_from ? strtoull(fold_from, NULL, 10) : 0,
		.deadline_ms = deadline ? strtoull(deadline, NULL, 10) : 0,
		.runs_max = runs_max ? strtoull(runs_max, NULL, 10) : UINT64_MAX,
	};
	return read_mode(request, branch) && read_disk(request, &branch->disk) && read_since(request, branch) && branch->layer && branch->state &&
	       branch->deadline_ms && branch->qmp_path && !(branch->folds && branch->mode == BRANCH_FULL) &&
	       strlen(branch->state) < PATH_MAX;
}

/* Milliseconds of nothing after which it makes ready; -1: not at all. */
static int read_ready(const struct request *request)
{
	const char *ready = find_field(request, "ready_ms");

	return ready ? (int)(strtoul(ready, NULL, 10) & INT_MAX) : -1;
}

static void handle_branch(const struct request *request)
{
	struct branch_request branch;
	struct branch_report report;
	struct branch_outcome outcome;

	if (!read_branch(request, &branch)) {
		answer_error(-EINVAL, "read the request");
		return;
	}
	if (branch.mode == BRANCH_LIVE && branch.durable) {
		answer_error(-EINVAL, "write a durable layer in live mode");
		return;
	}
	if (!pager.ram.base) {
		answer_error(-ENXIO, "find RAM, which is not mapped");
		return;
	}
	if (branch.folds && branch.fold_from >= pager.ram.layer_count) {
		answer_error(-EINVAL, "fold layers that are not mapped");
		return;
	}
	if (branch.mode == BRANCH_LIVE && branch.tracking == TRACKING_NONE) {
		answer_error(-EOPNOTSUPP, "track writes");
		return;
	}
	outcome = branch_run(&pager.ram, &pager.tracker, &pager.stage, &pager.qmp, &branch, &report, answer_running, NULL);
	if (outcome.error)
		answer_error(outcome.error, outcome.operation);
	else
		answerf("ok\tcaptured_bytes=%" PRIu64 "\tsweep_us=%" PRIu64 "\tfaults=%zu\twent_on=%d\truns=%s\n",
			report.captured_bytes, report.sweep_us, report.memory.fault_count, report.went_on, report.runs);
	free(report.runs);
	pager.ready_ms = read_ready(request);
}

static void handle(char *line)
{
	static const struct {
		const char *name;
		void (*run)(const struct request *request);
	} commands[] = {{"hello", handle_hello}, {"map", handle_map}, {"branch", handle_branch}};
	static struct request request; /* too large for a stack; one thread */

	char *field = line;

	request.count = 0;
	while (field && request.count < MAX_FIELDS)
		request.fields[request.count++] = strsep(&field, "\t");
	if (field) {
		answer_error(-E2BIG, "read the request");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(request.fields[0], commands[i].name) == 0) {
			commands[i].run(&request);
			return;
		}
	}
	answer_error(-ENOSYS, "read the request");
}

/* Has QEMU read ahead what the next branch begins with. If it does not, the branch does all of that itself. */
static void make_ready(void)
{
	uint64_t deadline_ns = monotonic_ns() + READY_PATIENCE_NS;

	pager.ready_ms = -1;
	if (qmp_connect(&pager.qmp, pager.qmp_path, deadline_ns) == 0 && window_begin(&pager.qmp, deadline_ns) != 0)
		qmp_close(&pager.qmp);
}

/* Until the connection can be read; meanwhile it makes ready, and listens to QEMU, which would keep what nobody reads. */
static void wait_for_request(void)
{
	while (pager.ready_ms >= 0 || pager.qmp.fd >= 0) {
		struct pollfd fds[2] = {{.fd = pager.connection_fd, .events = POLLIN}, {.fd = pager.qmp.fd, .events = POLLIN}};
		int found = poll(fds, 2, pager.ready_ms);

		if (found == 0)
			make_ready();
		if (found > 0 && fds[1].revents && qmp_hear(&pager.qmp) != 0)
			qmp_close(&pager.qmp);
		if (found < 0 || fds[0].revents)
			return;
	}
}

/* Serves the connection until its other end closes it or sends a line that is too long. */
static void serve_connection(char *buffer)
{
	size_t length = 0;

	for (;;) {
		wait_for_request();
		ssize_t got = recv(pager.connection_fd, buffer + length, PAGER_LINE_MAX - length, 0);
		char *end;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		length += (size_t)got;
		while ((end = memchr(buffer, '\n', length))) {
			*end = '\0';
			handle(buffer);
			length -= (size_t)(end + 1 - buffer);
			memmove(buffer, end + 1, length);
		}
		if (length == PAGER_LINE_MAX)
			return;
	}
}

static void *serve(void *arg)
{
	static char buffer[PAGER_LINE_MAX];

	(void)arg;
	for (;;) {
		pager.connection_fd = accept4(pager.listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (pager.connection_fd < 0) {
			if (errno == EINVAL || errno == EBADF)
				return NULL;
			sleep(1); /* no descriptors left, say: QEMU has the same trouble, and it may pass */
			continue;
		}
		serve_connection(buffer);
		qmp_close(&pager.qmp);
		pager.ready_ms = -1;
		close(pager.connection_fd);
	}
}

int control_start(const char *socket_path, const char *qmp_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pthread_t thread;
	int error;

	if (strlen(socket_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, socket_path);
	pager.qmp_path = strdup(qmp_path);
	if (!pager.qmp_path)
		return -ENOMEM;
	pager.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pager.listen_fd < 0)
		return -errno;
	if (bind(pager.listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(pager.listen_fd, 4) < 0) {
		error = -errno;
		close(pager.listen_fd);
		return error;
	}
	error = thread_start(&thread, serve, NULL);
	if (error) {
		close(pager.listen_fd);
		return error;
	}
	pthread_setname_np(thread, "bough-pager");
	pthread_detach(thread);
	return 0;
}
