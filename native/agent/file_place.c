#include "file_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the kernel: more links than this are a circle. */
#define MAX_LINKS 40

int make_folders(const char *path, mode_t mode)
{
	char *own = strdup(path);
	int error = own == NULL ? -ENOMEM : 0;
	struct stat info;

	for (char *at = own; error == 0 && at != NULL;) {
		at = strchr(at + 1, '/');
		if (at != NULL)
			*at = 0;
		/* What is between two slashes is nothing. */
		if (*own != 0 && mkdir(own, at == NULL ? mode : 0755) != 0 && errno != EEXIST)
			error = -errno;
		if (at != NULL)
			*at = '/';
	}
	if (error == 0 && stat(path, &info) != 0)
		error = -errno;
	else if (error == 0 && !S_ISDIR(info.st_mode))
		error = -EEXIST;
	free(own);
	return error;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The length of what is in front of the last name: 0 for none. */
static size_t folder_length(const char *path, size_t length)
{
	while (length > 0 && path[length - 1] != '/')
		length--;
	return length;
}

int place_open(const char *path, bool parents, struct place *place)
{
	size_t length = strlen(path);
	char *folder;
	size_t end;
	int error = 0;

	while (length > 0 && path[length - 1] == '/')
		length--;
	end = folder_length(path, length);
	if (length - end >= sizeof place->name)
		return -ENAMETOOLONG;
	snprintf(place->name, sizeof place->name, "%.*s", (int)(length - end), path + end); /* it fits */
	if (length == 0 || is_dots(place->name))
		return -EISDIR;
	folder = end == 0 ? strdup(".") : strndup(path, end);
	if (folder == NULL)
		return -ENOMEM;
	if (parents)
		error = make_folders(folder, 0755);
	place->folder_fd = error == 0 ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (error == 0 && place->folder_fd < 0)
		error = -errno;
	free(folder);
	return error;
}

/* The path that a link leads to; NULL without memory. */
static char *behind(const char *path, const char *target)
{
	size_t end = *target == '/' ? 0 : folder_length(path, strlen(path));
	size_t length = strlen(target);
	char *next = malloc(end + length + 1);

	if (next == NULL)
		return NULL;
	memcpy(next, path, end);
	memcpy(next + end, target, length + 1);
	return next;
}

int place_open_target(const char *path, bool parents, struct place *place)
{
	char target[PATH_MAX];
	char *at = strdup(path);
	int error = at == NULL ? -ENOMEM : 0;

	/* A slash at its end would mean what is behind a link, and a file it cannot be. */
	if (error == 0 && *at != 0 && at[strlen(at) - 1] == '/')
		error = -EISDIR;
	for (int links = 0; error == 0; links++) {
		ssize_t length = readlink(at, target, sizeof target - 1);
		char *next;

		if (length < 0)
			break; /* no link, or nothing at all */
		target[length] = 0;
		next = links == MAX_LINKS ? NULL : behind(at, target);
		error = links == MAX_LINKS ? -ELOOP : next == NULL ? -ENOMEM : 0;
		free(at);
		at = next;
	}
	if (error == 0)
		error = place_open(at, parents, place);
	free(at);
	return error;
}
