/* Groups that are made ahead, in a folder that looks like the kernel's. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "group.h"

#define MANY 300

/* In groups up to this number something runs on. */
static unsigned busy_up_to;

/* The linker's names for a call that comes in between. */
int __real_unlinkat(int folder_fd, const char *path, int flags);
int __wrap_unlinkat(int folder_fd, const char *path, int flags);

int __wrap_unlinkat(int folder_fd, const char *path, int flags)
{
	if (strtoul(path, NULL, 10) <= busy_up_to) {
		errno = EBUSY;
		return -1;
	}
	return __real_unlinkat(folder_fd, path, flags);
}

static char folder[] = "/tmp/bough-groups-XXXXXX";

static const char *path_of(unsigned number, const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%u/%s", folder, number, name);
	return path;
}

static bool exists(unsigned number)
{
	return access(path_of(number, ""), F_OK) == 0;
}

/* The kernel has its files in each. */
static void fill(unsigned number)
{
	int fd = open(path_of(number, "cgroup.procs"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert(fd >= 0);
	close(fd);
}

static struct group started(void)
{
	struct group group = group_new();

	assert(group.number != 0 && exists(group.number) && group.fd >= 0);
	group_started(&group);
	return group;
}

static unsigned left_and_made_ahead(struct group group)
{
	unsigned old = group.number;

	group_leave(&group);
	assert(exists(old)); /* whoever waits for an answer does not wait for this */
	groups_sweep();
	assert(!exists(old) && exists(old + 1));
	return old + 1;
}

static void one_made_ahead_is_used(void)
{
	unsigned ahead = left_and_made_ahead(started());
	struct group group;

	fill(ahead);
	group = started();
	assert(group.number == ahead);
	assert(unlink(path_of(ahead, "cgroup.procs")) == 0);
	left_and_made_ahead(group);
}

static void one_that_was_removed_is_not(void)
{
	unsigned ahead = left_and_made_ahead(started());
	struct group group;

	assert(rmdir(path_of(ahead, "")) == 0);
	group = started();
	assert(group.number != ahead);
	left_and_made_ahead(group);
}

static void many_left_in_one_turn_are_removed(void)
{
	static struct group groups[MANY];

	for (int i = 0; i < MANY; i++)
		groups[i] = started();
	for (int i = 0; i < MANY; i++)
		group_leave(&groups[i]);
	groups_sweep();
	for (int i = 0; i < MANY; i++) {
		assert(!exists(groups[i].number));
	}
}

static void an_empty_one_goes_though_many_stay(void)
{
	struct group group;

	for (int i = 0; i < MANY; i++) {
		group = started();
		busy_up_to = group.number;
		group_leave(&group);
		groups_sweep();
	}
	for (int i = 0; i < MANY; i++) {
		unsigned number;

		group = started();
		number = group.number;
		group_leave(&group);
		groups_sweep();
		assert(!exists(number));
	}
	busy_up_to = 0;
}

static void those_of_an_earlier_agent_go(void)
{
	struct group group = started();

	groups_open(folder);
	assert(!exists(group.number));
}

int main(void)
{
	char command[64];

	assert(mkdtemp(folder) != NULL);
	groups_open(folder);
	one_made_ahead_is_used();
	one_that_was_removed_is_not();
	many_left_in_one_turn_are_removed();
	an_empty_one_goes_though_many_stay();
	those_of_an_earlier_agent_go();
	snprintf(command, sizeof command, "rm -r %s", folder);
	assert(system(command) == 0);
	printf("groups: made ahead, removed behind\n");
	return 0;
}
