#include "file_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What JSON's numbers hold exactly. */
#define MAX_OFFSET ((int64_t)1 << 53)
#define MAX_DEPTH 1000

static int read_path(struct json request, const char *name, char **path, struct problem *problem)
{
	unsigned char *bytes = NULL;
	size_t length = 0;
	int error = field_base64(request, name, 1, &bytes, &length, problem);

	if (error != 0)
		return error;
	*path = (char *)bytes;	 /* bytes, and text to those who call the kernel */
	(*path)[length] = 0; /* base64 is longer than what it says */
	if (strlen(*path) == length)
		return 0;
	snprintf(problem->text, sizeof problem->text, "%s must not hold NUL", name);
	return -EINVAL;
}

static int read_numbers(struct json request, struct file_request *wanted, struct problem *problem)
{
	int error = field_whole(request, "from", 0, MAX_OFFSET, &wanted->from, problem);

	if (error == 0)
		error = field_whole(request, "length", 0, MAX_OFFSET, &wanted->length, problem);
	if (error == 0)
		error = field_whole(request, "last", 0, MAX_OFFSET, &wanted->last, problem);
	if (error == 0)
		error = field_whole(request, "mode", 0, 07777, &wanted->mode, problem);
	if (error == 0)
		error = field_whole(request, "depth", 1, MAX_DEPTH, &wanted->depth, problem);
	return error;
}

static int read_flags(struct json request, struct file_request *wanted, struct problem *problem)
{
	int error = field_flag(request, "follow", &wanted->follow, problem);

	if (error == 0)
		error = field_flag(request, "parents", &wanted->parents, problem);
	if (error == 0)
		error = field_flag(request, "recursive", &wanted->recursive, problem);
	if (error == 0)
		error = field_flag(request, "replace", &wanted->replace, problem);
	if (error == 0)
		error = field_flag(request, "exclusive", &wanted->exclusive, problem);
	return error;
}

int file_request_read(struct json request, struct file_request *wanted, struct problem *problem)
{
	struct json to;
	int error;

	*wanted = (struct file_request){ .length = MAX_OFFSET, .last = -1, .mode = -1, .depth = 1 };
	error = read_path(request, "path", &wanted->path, problem);
	if (error == 0 && json_member(request, "to", &to) == 0)
		error = read_path(request, "to", &wanted->to, problem);
	if (error == 0)
		error = field_text(request, "user", &wanted->user, problem);
	if (error == 0)
		error = read_numbers(request, wanted, problem);
	return error == 0 ? read_flags(request, wanted, problem) : error;
}

void file_request_free(struct file_request *wanted)
{
	free(wanted->path);
	free(wanted->to);
	free(wanted->user);
}
