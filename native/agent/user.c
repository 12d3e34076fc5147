#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_GROUPS 1024
#define MAX_NUMBER 4294967294l /* the one above it means "none" to the kernel */

struct user {
	char name[256]; /* empty for a number without an entry */
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_GROUPS];
	size_t group_count;
};

/* A file of the image. NULL when it is none: a FIFO would keep us. */
static FILE *open_list(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat info;

	if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? NULL : fdopen(fd, "r");
}

/* -1 for what is no number. */
static long number_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return *text < '0' || *text > '9' || *end != 0 || number > MAX_NUMBER ? -1 : number;
}

static bool find_user(const char *wanted, struct user *user)
{
	FILE *list = open_list("/etc/passwd");
	long number = number_of(wanted);
	const struct passwd *entry;
	bool found = false;

	while (list != NULL && !found && (entry = fgetpwent(list)) != NULL) {
		found = strcmp(entry->pw_name, wanted) == 0 || (number >= 0 && entry->pw_uid == (uid_t)number);
		if (!found)
			continue;
		snprintf(user->name, sizeof user->name, "%s", entry->pw_name);
		user->uid = entry->pw_uid;
		user->gid = entry->pw_gid;
	}
	if (list != NULL)
		fclose(list);
	if (!found && number >= 0)
		user->uid = (uid_t)number; /* in range, as number_of() says */
	return found || number >= 0;
}

static bool has_member(const struct group *group, const char *name)
{
	for (char **member = group->gr_mem; *member != NULL; member++)
		if (strcmp(*member, name) == 0)
			return true;
	return false;
}

/* The group that was asked for, if any, and those the user is a member of. */
static bool find_groups(const char *wanted, struct user *user)
{
	FILE *list = open_list("/etc/group");
	long number = wanted == NULL ? -1 : number_of(wanted);
	bool found = wanted == NULL || number >= 0;
	const struct group *entry;

	if (number >= 0)
		user->gid = (gid_t)number; /* in range */
	while (list != NULL && (entry = fgetgrent(list)) != NULL) {
		if (wanted != NULL && strcmp(entry->gr_name, wanted) == 0) {
			user->gid = entry->gr_gid;
			found = true;
		}
		if (has_member(entry, user->name) && user->group_count < MAX_GROUPS)
			user->groups[user->group_count++] = entry->gr_gid;
	}
	if (list != NULL)
		fclose(list);
	return found;
}

int user_become(const char *name)
{
	static struct user user;
	char *own = strdup(name);
	char *group = own == NULL ? NULL : strchr(own, ':');
	bool found;

	if (own == NULL)
		return -ENOMEM;
	if (group != NULL)
		*group++ = 0;
	found = find_user(own, &user) && find_groups(group, &user);
	free(own);
	if (!found)
		return -ENOKEY;
	if (user.uid == geteuid() && user.gid == getegid() && user.uid != 0)
		return 0; /* nobody else may set groups */
	if (setgroups(user.group_count, user.groups) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
	    setresuid(user.uid, user.uid, user.uid) != 0)
		return -errno;
	return 0;
}
