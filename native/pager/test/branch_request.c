/* branch_request.c - what a plan of a branch becomes on the wire, and the files that have to be there for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_vmm.h"

/* Empty overlays, and how to switch to each. */
static void send_spares(struct vmm *vmm, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char what[32];

		snprintf(what, sizeof(what), "spare%zu", i);
		const char *path = vmm_path(vmm, what);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		CHECK(fd >= 0, "%s: errno %d", path, errno);
		close(fd);
		client_sendf(&vmm->client, "\tspare=%s\tswitch=\"execute\": \"blockdev-snapshot\", \"arguments\": {\"overlay\": \"%s\"}",
			     path, path);
	}
}

/* Of the line, as the daemon knows them. Of a file that is not there it knows them too: any number does. */
static size_t count_runs(const struct vmm *vmm)
{
	size_t count = 0;

	for (size_t i = 0; i < vmm->own_count; i++) {
		int fd = open(vmm->own[i], O_RDONLY | O_CLOEXEC);
		off_t at = 0;

		while (fd >= 0 && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
			at = lseek(fd, at, SEEK_HOLE);
			count++;
		}
		if (fd >= 0)
			close(fd);
	}
	return count;
}

/* Half of the branches find the files they write, made empty, as a VMM does that may make none. */
static void give_files(const struct vmm *vmm, const struct branch_plan *plan)
{
	const char *files[] = {"layer", plan->disk ? "tail" : NULL, plan->durable ? "durable" : NULL};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && vmm->serial % 2; i++) {
		int fd = files[i] ? open(vmm_path(vmm, files[i]), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

		CHECK(fd >= 0 || !files[i], "%s: errno %d", files[i], errno);
		close(fd);
	}
}

void vmm_send_request(struct vmm *vmm, const struct branch_plan *plan)
{
	struct client *client = &vmm->client;

	give_files(vmm, plan);
	client_sendf(client, "branch\tmode=%s\tlayer=%s\tstate=%s\tdeadline_ms=%u", plan->mode, vmm_path(vmm, "layer"),
		     vmm_path(vmm, "state"), plan->deadline_ms);
	if (plan->tracking)
		client_sendf(client, "\ttracking=%s", plan->tracking);
	if (plan->disk)
		client_sendf(client, "\toverlay=%s\ttail=%s", vmm->machine.overlay_path, vmm_path(vmm, "tail"));
	send_spares(vmm, plan->disk ? plan->spares : 0);
	if (plan->durable)
		client_sendf(client, "\tdurable=%s", vmm_path(vmm, "durable"));
	if (plan->ready_ms)
		client_sendf(client, "\tready_ms=%u", plan->ready_ms);
	if (plan->runs_max)
		client_sendf(client, "\truns_max=%u", plan->runs_max);
	if (plan->folds)
		client_sendf(client, "\tfold_from=%zu", plan->fold_from);
	if (plan->name)
		client_sendf(client, "\tname=%s", plan->name);
	if (plan->since)
		client_sendf(client, "\tsince=%s", plan->since);
	for (size_t i = 0; plan->since && i < vmm->own_count; i++)
		client_sendf(client, "\town=%s", vmm->own[i]);
	if (plan->since && random_below(&vmm->random, 2))
		client_sendf(client, "\town_runs=%zu", count_runs(vmm));
	client_sendf(client, "\n");
}
