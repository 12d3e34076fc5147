#include "watched.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

static struct watched_folder *find(const struct watched *watched, int watch)
{
	for (int i = 0; i < watched->count; i++)
		if (watched->folders[i].watch == watch)
			return (struct watched_folder *)&watched->folders[i]; /* who may change them has all of it */
	return NULL;
}

int watched_add(struct watched *watched, const char *at, const char *path, uint32_t events)
{
	int watch = inotify_add_watch(watched->fd, at, events);
	struct watched_folder *known = watch < 0 ? NULL : find(watched, watch);
	char *copy = NULL;
	int error = watch < 0 ? -errno : known == NULL && watched->count == MAX_WATCHED ? -ENOSPC : 0;

	if (error == 0) {
		copy = strdup(path);
		error = copy == NULL ? -ENOMEM : 0;
	}
	if (error != 0) {
		if (watch >= 0 && known == NULL)
			inotify_rm_watch(watched->fd, watch);
		return error;
	}
	if (known == NULL)
		known = &watched->folders[watched->count++];
	free(known->path);
	*known = (struct watched_folder){ .watch = watch, .path = copy };
	return 0;
}

const char *watched_path(const struct watched *watched, int watch)
{
	const struct watched_folder *folder = find(watched, watch);

	return folder == NULL ? NULL : folder->path;
}

static void forget(struct watched *watched, struct watched_folder *folder)
{
	free(folder->path);
	*folder = watched->folders[--watched->count];
	watched->folders[watched->count].path = NULL;
}

void watched_gone(struct watched *watched, int watch)
{
	struct watched_folder *folder = find(watched, watch);

	if (folder != NULL)
		forget(watched, folder);
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/' || length == 0);
}

void watched_drop(struct watched *watched, const char *path)
{
	for (int i = watched->count; i > 0; i--) {
		struct watched_folder *folder = &watched->folders[i - 1];

		if (!is_below(folder->path, path))
			continue;
		/* One that is gone by itself has been let go of. */
		inotify_rm_watch(watched->fd, folder->watch);
		forget(watched, folder);
	}
}
