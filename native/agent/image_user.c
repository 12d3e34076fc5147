#include "image_user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "text.h"

#define MAX_FILE_BYTES (4u << 20)

static const char *specification;

void image_user_set(const char *text)
{
	specification = text;
}

int image_user_is_set(void)
{
	return specification != NULL && *specification != 0;
}

static int read_file(const char *path, struct text *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t count = 1;

	while (fd >= 0 && count > 0 && text->length < MAX_FILE_BYTES && text_reserve(text, 65536)) {
		count = read(fd, text->bytes + text->length, 65536);
		if (count > 0)
			text->length += (size_t)count; /* not negative */
	}
	if (fd >= 0)
		close(fd);
	text_add(text, "\n", 2); /* a last line without its end; and a string */
	return text->failed ? -ENOMEM : 0;
}

/* The fields of the next line, in place; those it has not are empty. NULL after the last line. */
static char *next_line(char **rest, char **fields, int count)
{
	char *line = strsep(rest, "\n");
	char *at = line;

	for (int i = 0; i < count; i++) {
		char *field = at == NULL ? NULL : strsep(&at, ":");

		fields[i] = field == NULL ? "" : field;
	}
	return line;
}

static int number_of(const char *text, unsigned *number)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return 0;
	value = strtoul(text, &end, 10);
	*number = (unsigned)value; /* compared below */
	return *end == 0 && value < (unsigned)-1;
}

/* passwd(5). A number that is nobody's is a user in root's group, as Docker has it. */
static int find_passwd(const char *wanted, struct image_user *user, char *name, size_t size)
{
	struct text file = { 0 };
	int is_number = number_of(wanted, &user->uid);
	int error = read_file("/etc/passwd", &file);
	int found = 0;
	char *rest = file.bytes;
	char *fields[7];

	while (error == 0 && !found && rest != NULL && next_line(&rest, fields, 7) != NULL) {
		unsigned uid, gid;

		if (!number_of(fields[2], &uid) || !number_of(fields[3], &gid))
			continue;
		found = strcmp(fields[0], wanted) == 0 || (is_number && uid == user->uid);
		if (!found)
			continue;
		user->uid = uid;
		user->gid = gid;
		snprintf(user->home, sizeof user->home, "%s", fields[5]);
		snprintf(name, size, "%s", fields[0]);
	}
	text_free(&file);
	return error != 0 ? error : found || is_number ? 0 : -EUSERS;
}

static int lists(char *members, const char *name)
{
	char *member;

	while ((member = strsep(&members, ",")) != NULL)
		if (*name != 0 && strcmp(member, name) == 0)
			return 1;
	return 0;
}

/* group(5): the one that was asked for, or else all that list the user. */
static int find_groups(const char *wanted, const char *name, struct image_user *user)
{
	struct text file = { 0 };
	int is_number = wanted != NULL && number_of(wanted, &user->gid);
	int error = read_file("/etc/group", &file);
	int found = 0;
	char *rest = file.bytes;
	char *fields[4];

	while (error == 0 && rest != NULL && next_line(&rest, fields, 4) != NULL) {
		unsigned gid;

		if (!number_of(fields[2], &gid))
			continue;
		if (wanted != NULL && !is_number && !found && strcmp(fields[0], wanted) == 0) {
			user->gid = gid;
			found = 1;
		} else if (wanted == NULL && user->group_count < MAX_USER_GROUPS && lists(fields[3], name)) {
			user->groups[user->group_count++] = gid;
		}
	}
	text_free(&file);
	return error != 0 ? error : wanted == NULL || is_number || found ? 0 : -EUSERS;
}

int image_user_find(struct image_user *user, int *is_root)
{
	char copy[512], name[256] = "";
	char *group = copy;
	char *wanted;
	int error;

	*user = (struct image_user){ .home = "/" };
	*is_root = !image_user_is_set();
	if (*is_root)
		snprintf(copy, sizeof copy, "0");
	else
		snprintf(copy, sizeof copy, "%s", specification);
	wanted = strsep(&group, ":");
	error = find_passwd(*wanted == 0 ? "0" : wanted, user, name, sizeof name);
	return error == 0 ? find_groups(group, name, user) : error;
}

int image_user_become(const struct image_user *user, const int *fds, int count)
{
	struct stat info;

	for (int i = 0; i < count; i++)
		if (fstat(fds[i], &info) == 0 && S_ISFIFO(info.st_mode) && fchown(fds[i], user->uid, user->gid) != 0)
			return errno;
	/* The kernel's calls: libc's would tell other threads, of which there are none, through memory that is not ours alone. */
	if (syscall(SYS_setgroups, user->group_count, user->groups) != 0 ||
	    syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0 ||
	    syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0)
		return errno;
	return 0;
}

int image_user_add_home(struct env *env)
{
	struct image_user user;
	int is_root, error;

	if (env_get(env, "HOME") != NULL)
		return 0;
	error = image_user_find(&user, &is_root);
	if (error == -ENOMEM)
		return error;
	error = env_set(env, "HOME", error == 0 && *user.home != 0 ? user.home : "/");
	return error == 0 ? env_settle(env) : error;
}
