#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "small_file.h"

#define MAX_FIELDS 7 /* of a line of passwd */

/* One line's fields, as parts of it. */
struct line {
	const char *at[MAX_FIELDS];
	size_t length[MAX_FIELDS];
	size_t count;
};

/* Takes the next line. False when there is none. */
static bool next_line(const struct text *text, size_t *at, struct line *line)
{
	const char *start, *end;

	if (*at >= text->length)
		return false;
	start = text->bytes + *at;
	end = memchr(start, '\n', text->length - *at);
	if (end == NULL)
		end = text->bytes + text->length;
	*at = (size_t)(end - text->bytes) + 1; /* within the text */
	for (line->count = 0; line->count < MAX_FIELDS; start += line->length[line->count++] + 1) {
		const char *colon = start > end ? NULL : memchr(start, ':', (size_t)(end - start)); /* not negative */

		if (start > end)
			break;
		line->at[line->count] = start;
		line->length[line->count] = (size_t)((colon == NULL ? end : colon) - start); /* within the line */
	}
	return true;
}

static bool field_is(const struct line *line, size_t field, const char *text)
{
	return field < line->count && line->length[field] == strlen(text) &&
	       memcmp(line->at[field], text, line->length[field]) == 0;
}

/* A decimal number that is no sign of "nobody changes": the kernel takes -1 for that. */
static bool read_id(const char *text, size_t length, unsigned *id)
{
	uint64_t number = 0;

	if (length == 0 || length > 10)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (unsigned)(text[i] - '0'); /* a digit */
	}
	*id = (unsigned)number; /* compared below */
	return number < UINT32_MAX;
}

static void copy_field(const struct line *line, size_t field, char *to, size_t size)
{
	size_t length = field < line->count ? line->length[field] : 0;

	/* What is too long for anybody's name or home is as if it were not there. */
	if (length >= size)
		length = 0;
	memcpy(to, length == 0 ? "" : line->at[field], length);
	to[length] = 0;
}

/* A line of passwd: name, password, uid, gid, comment, home, shell. */
static bool take_user(const struct line *line, struct user *user)
{
	unsigned uid, gid;

	if (line->count < 4 || !read_id(line->at[2], line->length[2], &uid) || !read_id(line->at[3], line->length[3], &gid))
		return false;
	user->uid = uid;
	user->gid = gid;
	copy_field(line, 0, user->name, sizeof user->name);
	copy_field(line, 5, user->home, sizeof user->home);
	copy_field(line, 6, user->shell, sizeof user->shell);
	return user->name[0] != 0;
}

/* By name, else by number. False when passwd does not know it. */
static bool find_in_passwd(const struct text *passwd, const char *name, struct user *user)
{
	struct line line;
	unsigned uid;
	bool is_number = read_id(name, strlen(name), &uid);

	for (size_t at = 0; next_line(passwd, &at, &line);)
		if (field_is(&line, 0, name) && take_user(&line, user))
			return true;
	for (size_t at = 0; is_number && next_line(passwd, &at, &line);)
		if (line.count > 2 && take_user(&line, user) && user->uid == uid)
			return true;
	*user = (struct user){ .uid = uid };
	snprintf(user->name, sizeof user->name, "%.64s", name);
	return false;
}

static bool lists(const struct line *line, const char *name)
{
	const char *at = line->at[3], *end = at + line->length[3];
	size_t length = strlen(name);

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at)); /* positive */
		const char *stop = comma == NULL ? end : comma;

		if ((size_t)(stop - at) == length && memcmp(at, name, length) == 0) /* not negative */
			return true;
		at = stop + 1;
	}
	return false;
}

/* A line of group: name, password, gid, members. */
static void add_groups(const struct text *groups, struct user *user)
{
	struct line line;
	unsigned gid;

	for (size_t at = 0; next_line(groups, &at, &line) && user->group_count < MAX_GROUPS;)
		if (line.count > 3 && read_id(line.at[2], line.length[2], &gid) && gid != user->gid &&
		    lists(&line, user->name))
			user->groups[user->group_count++] = gid;
}

static bool find_group(const struct text *groups, const char *name, gid_t *gid)
{
	struct line line;
	unsigned found;

	for (size_t at = 0; next_line(groups, &at, &line);) {
		if (line.count > 2 && field_is(&line, 0, name) && read_id(line.at[2], line.length[2], &found)) {
			*gid = found;
			return true;
		}
	}
	if (!read_id(name, strlen(name), &found))
		return false;
	*gid = found;
	return true;
}

static int unknown(struct problem *problem, const char *what, const char *name)
{
	snprintf(problem->text, sizeof problem->text, "user: the image has no %s \"%.64s\"", what, name);
	return -EINVAL;
}

static int find(char *name, const char *group, struct user *user, struct problem *problem)
{
	struct text passwd = { 0 }, groups = { 0 };
	unsigned uid;
	int error = small_file_read("/etc/passwd", MAX_USER_FILE_BYTES, &passwd);

	/* An image without the files has numbers only. */
	if (error != -ENOMEM)
		error = small_file_read("/etc/group", MAX_USER_FILE_BYTES, &groups);
	if (error != -ENOMEM) {
		error = 0;
		if (!find_in_passwd(&passwd, name, user) && !read_id(name, strlen(name), &uid))
			error = unknown(problem, "user", name);
		else if (group == NULL)
			add_groups(&groups, user);
		else if (!find_group(&groups, group, &user->gid))
			error = unknown(problem, "group", group);
	}
	if (user->home[0] != '/')
		strcpy(user->home, "/");
	text_free(&passwd);
	text_free(&groups);
	return error;
}

/* System calls of its own: the library's take locks and look for threads, and the caller may be in memory that is not its own. */
int user_become(const struct user *user)
{
	if (user->uid == geteuid() && user->gid == getegid() && user->uid != 0)
		return 0; /* nobody else may set groups */
	if (syscall(SYS_setgroups, user->group_count, user->groups) != 0 || syscall(SYS_setgid, user->gid) != 0 ||
	    syscall(SYS_setuid, user->uid) != 0)
		return -errno;
	return 0;
}

int user_find(const char *wanted, struct user *user, struct problem *problem)
{
	char *name = strdup(wanted);
	char *colon = name == NULL ? NULL : strchr(name, ':');
	int error;

	*user = (struct user){ 0 };
	if (name == NULL)
		return -ENOMEM;
	if (colon != NULL)
		*colon = 0;
	if (name[0] == 0 || (colon != NULL && colon[1] == 0)) {
		snprintf(problem->text, sizeof problem->text, "user must be a user, or a user and a group with a colon between them");
		error = -EINVAL;
	} else {
		error = find(name, colon == NULL ? NULL : colon + 1, user, problem);
	}
	free(name);
	return error;
}
