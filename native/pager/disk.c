#define _GNU_SOURCE
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer.h"

/* A switch costs the guest less than copying more than this in the pause (0.3 ms per MiB), and a longer chain ever after. */
#define SWITCH_ABOVE_BYTES (1024 * 1024)

static int open_overlay(const char *path, int *fd)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int disk_open(struct disk *disk, const struct disk_request *request)
{
	int error;

	disk->request = request;
	if (!request->overlay)
		return 0;
	error = open_overlay(request->overlay, &disk->overlay_fd);
	return error ? error : layer_create(request->tail, 0, &disk->tail_fd);
}

void disk_close(struct disk *disk)
{
	if (disk->overlay_fd >= 0)
		close(disk->overlay_fd);
	if (disk->tail_fd >= 0)
		close(disk->tail_fd);
}

static int overlay_bytes(const struct disk *disk, uint64_t *bytes)
{
	struct stat info;

	if (fstat(disk->overlay_fd, &info) < 0)
		return -errno;
	*bytes = (uint64_t)info.st_size;
	return 0;
}

static bool has_spare(const struct disk *disk)
{
	return disk->switches < disk->request->spare_count;
}

/* From here on the next spare is the topmost overlay: its command has been run, or will be before anybody looks. */
static void put_on_top(struct disk *disk, int fd)
{
	close(disk->overlay_fd);
	disk->overlay_fd = fd;
	disk->switches++;
}

static int switch_to(struct disk *disk, const struct disk_spare *spare, struct qmp *qmp, uint64_t deadline_ns)
{
	int fd, error = open_overlay(spare->overlay, &fd);

	if (error)
		return error;
	error = qmp_execute(qmp, spare->command, deadline_ns);
	if (error)
		close(fd);
	else
		put_on_top(disk, fd);
	return error;
}

int disk_settle(struct disk *disk, struct qmp *qmp, uint64_t deadline_ns)
{
	uint64_t bytes;
	int error;

	if (disk->overlay_fd < 0)
		return 0;
	error = overlay_bytes(disk, &bytes);
	if (error || bytes <= SWITCH_ABOVE_BYTES || !has_spare(disk))
		return error;
	return switch_to(disk, &disk->request->spares[disk->switches], qmp, deadline_ns);
}

int disk_switch_stopped(struct disk *disk, const char **command)
{
	const struct disk_spare *spare = &disk->request->spares[disk->switches];
	int fd, error = open_overlay(spare->overlay, &fd);

	disk->outgrown = false;
	if (error)
		return error;
	put_on_top(disk, fd);
	*command = spare->command;
	return 0;
}

static int copy_long_tail(const struct disk *disk, const struct window *pause)
{
	if (ftruncate(disk->tail_fd, (off_t)disk->tail_bytes) < 0)
		return -errno;
	return layer_copy(disk->overlay_fd, disk->tail_fd, pause);
}

int disk_take_tail(struct disk *disk, struct stage *stage, const struct window *pause)
{
	int error;

	if (disk->overlay_fd < 0)
		return 0;
	error = overlay_bytes(disk, &disk->tail_bytes);
	if (error)
		return error;
	if (disk->tail_bytes <= STAGE_TAIL_BYTES)
		return stage_tail(stage, disk->overlay_fd, disk->tail_bytes, pause);
	disk->outgrown = disk->request->spare_count > 0;
	return disk->outgrown ? -EFBIG : copy_long_tail(disk, pause);
}

bool disk_may_retry(const struct disk *disk)
{
	return disk->outgrown && has_spare(disk);
}
