#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static int visit_all(struct walk *walk, DIR *folder, int64_t level);

static bool goes_into(const struct walk *walk, const struct stat *info, int64_t level)
{
	return S_ISDIR(info->st_mode) && level < walk->levels;
}

static int visit(struct walk *walk, int folder_fd, const char *name, int64_t level)
{
	struct stat info;
	DIR *inner = NULL;
	int error, fd = -1;

	if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (goes_into(walk, &info, level)) {
		fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		/* It went since, or is another thing by now: nothing that nobody may see. */
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			return 0;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			return -errno;
		inner = fd < 0 ? NULL : fdopendir(fd);
		if (fd >= 0 && inner == NULL) {
			error = -errno;
			close(fd);
			return error;
		}
	}
	error = walk->found(walk, folder_fd, name, &info, goes_into(walk, &info, level) && inner == NULL);
	if (error == 0 && inner != NULL)
		error = level >= WALK_LEVELS ? -ELOOP : visit_all(walk, inner, level + 1);
	if (inner != NULL)
		closedir(inner);
	return error;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int visit_all(struct walk *walk, DIR *folder, int64_t level)
{
	size_t length = walk->path.length;
	const struct dirent *each;
	int error = 0;

	while (error == 0 && (errno = 0, each = readdir(folder)) != NULL) {
		if (is_dots(each->d_name))
			continue;
		if (length > 0)
			text_put(&walk->path, "/");
		text_put(&walk->path, each->d_name);
		text_add(&walk->path, "", 1);
		walk->path.length -= walk->path.failed ? 0 : 1;
		error = walk->path.failed ? -ENOMEM : walk->path.length >= PATH_MAX ? -ENAMETOOLONG : 0;
		if (error == 0)
			error = visit(walk, dirfd(folder), each->d_name, level);
		walk->path.length = length;
	}
	return error != 0 ? error : -errno;
}

int walk_folder(struct walk *walk, int folder_fd)
{
	DIR *folder = fdopendir(folder_fd);
	int error;

	if (folder == NULL) {
		error = -errno;
		close(folder_fd);
		return error;
	}
	error = visit_all(walk, folder, 1);
	closedir(folder);
	text_free(&walk->path);
	return error;
}
