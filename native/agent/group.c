#include "group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More groups than these in which something runs on are forgotten: an empty folder is then left in the guest. */
#define MAX_LEFT 256

static int folder_fd = -1;
static unsigned last_number;
static unsigned left[MAX_LEFT];
static unsigned left_count;
/* Made ahead, and what is left removed behind, while nobody waits for an answer. */
static struct group ready = { .fd = -1 };
static bool untidy;

int groups_freeze(bool frozen)
{
	int fd = folder_fd < 0 ? -1 : openat(folder_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
	int error = folder_fd < 0 ? -ENOENT : fd < 0 || write(fd, frozen ? "1" : "0", 1) != 1 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

bool groups_are_frozen(void)
{
	int fd = openat(folder_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char events[128] = "";
	bool frozen = fd >= 0 && read(fd, events, sizeof events - 1) > 0 && strstr(events, "frozen 1") != NULL;

	if (fd >= 0)
		close(fd);
	return frozen;
}

static int open_file(unsigned number, const char *name)
{
	char path[48];

	snprintf(path, sizeof path, "%u/%s", number, name);
	return openat(folder_fd, path, O_WRONLY | O_CLOEXEC);
}

static int remove_group(unsigned number)
{
	char path[16];

	snprintf(path, sizeof path, "%u", number);
	return unlinkat(folder_fd, path, AT_REMOVEDIR) != 0 && errno == EBUSY ? -EBUSY : 0;
}

static void remove_left(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < left_count; i++)
		if (remove_group(left[i]) != 0)
			left[kept++] = left[i];
	left_count = kept;
}

static struct group make_group(void)
{
	struct group group = { .fd = -1 };
	char path[16];

	/* An agent that was started again finds the groups of the one before. */
	do {
		snprintf(path, sizeof path, "%u", ++last_number);
		errno = 0;
	} while (mkdirat(folder_fd, path, 0755) != 0 && errno == EEXIST);
	if (errno != 0 && errno != EEXIST)
		return group;
	group.fd = openat(folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group.fd < 0)
		remove_group(last_number);
	else
		group.number = last_number;
	return group;
}

/* What an agent that ended has left empty, the one it had made ahead above all. */
static void remove_found(void)
{
	int fd = folder_fd < 0 ? -1 : fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *each;

	while (folder != NULL && (each = readdir(folder)) != NULL) {
		unsigned long number = strtoul(each->d_name, NULL, 10);

		if (number > 0 && number <= UINT_MAX)
			remove_group((unsigned)number);
	}
	if (folder != NULL)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
}

void groups_open(const char *folder)
{
	mkdir(folder, 0755);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	remove_found();
	/* An agent that ended meanwhile held them no more. */
	groups_freeze(false);
}

struct group group_new(void)
{
	struct group group = ready;

	ready = (struct group){ .fd = -1 };
	/* The guest's root may have removed it: it was empty. */
	if (group.fd >= 0 && faccessat(group.fd, "cgroup.procs", F_OK, 0) == 0)
		return group;
	group_started(&group);
	return folder_fd < 0 ? group : make_group();
}

void groups_sweep(void)
{
	if (!untidy || folder_fd < 0)
		return;
	untidy = false;
	remove_left();
	if (ready.fd < 0)
		ready = make_group();
}

void group_started(struct group *group)
{
	if (group->fd >= 0)
		close(group->fd);
	group->fd = -1;
}

void group_kill(const struct group *group, pid_t leader)
{
	int fd = group->number == 0 ? -1 : open_file(group->number, "cgroup.kill");

	if (fd >= 0) {
		if (write(fd, "1", 1) < 0)
			errno = 0; /* the process group is left to us */
		close(fd);
	}
	/* Itself too: it may not have got as far as to lead a group. */
	if (leader > 0 && kill(-leader, SIGKILL) != 0)
		kill(leader, SIGKILL);
}

void group_leave_if_empty(struct group *group)
{
	if (group->number != 0 && remove_group(group->number) == 0)
		group->number = 0;
}

void group_leave(struct group *group)
{
	if (group->number != 0 && left_count == MAX_LEFT)
		remove_left();
	if (group->number != 0 && left_count < MAX_LEFT)
		left[left_count++] = group->number;
	else
		group_leave_if_empty(group);
	group->number = 0;
	untidy = true;
}
