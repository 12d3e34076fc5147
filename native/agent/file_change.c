#include "file_change.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_look.h"
#include "file_place.h"
#include "walk.h"

#define SPECIAL (S_ISUID | S_ISGID)

/* mkdir() leaves these bits out, and by its name it could be another folder by now: what is ours is looked at, and held. */
static int add_special(const struct place *place, mode_t mode)
{
	int fd = openat(place->folder_fd, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	int error = fd < 0 || fstat(fd, &info) != 0 ? -errno : 0;

	if (error == 0)
		error = info.st_uid != geteuid() ? -EPERM : fchmod(fd, mode) != 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return error;
}

/* With its whole mode at once. */
static int make_one(const struct place *place, mode_t mode)
{
	bool special = (mode & SPECIAL) != 0;

	if (mkdirat(place->folder_fd, place->name, special ? 0700 : mode) != 0)
		return -errno;
	return special ? add_special(place, mode) : 0;
}

int file_mkdir(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	mode_t mode = request->mode < 0 ? 0755 : (mode_t)request->mode; /* four octal digits */
	struct place place;
	int error = place_open(request->path, request->parents, &place);

	(void)exchange; /* all that is said is the answer */
	umask(0);
	if (error == 0)
		error = make_one(&place, mode);
	/* One that is there is as good. */
	if (request->parents && (error == -EEXIST || error == -EISDIR))
		error = make_folders(request->path, 0755);
	return error == 0 ? answer_entry(request->path, answer) : error;
}

int file_move(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	/* musl has no function for it. */
	const long flags = request->replace ? 0 : 1 /* RENAME_NOREPLACE */;
	struct place from, to;
	int error = request->to == NULL ? -EINVAL : place_open(request->path, false, &from);

	(void)exchange; /* all that is said is the answer */
	if (error == 0)
		error = place_open(request->to, request->parents, &to);
	if (error == 0 &&
	    syscall(SYS_renameat2, from.folder_fd, from.name, to.folder_fd, to.name, flags) != 0)
		error = -errno;
	return error == 0 ? answer_entry(request->to, answer) : error;
}

static int remove_at(int folder_fd, const char *name, dev_t device, int level);

static int remove_content(int fd, int level)
{
	DIR *folder = fdopendir(fd);
	const struct dirent *each;
	struct stat info;
	int error = folder == NULL || fstat(fd, &info) != 0 ? -errno : 0;

	while (error == 0 && (errno = 0, each = readdir(folder)) != NULL)
		if (strcmp(each->d_name, ".") != 0 && strcmp(each->d_name, "..") != 0)
			error = remove_at(fd, each->d_name, info.st_dev, level);
	if (error == 0)
		error = -errno;
	if (folder != NULL)
		closedir(folder);
	else
		close(fd);
	return error;
}

/* A folder of another device is where a file system is mounted. */
static int remove_folder(int folder_fd, const char *name, dev_t device, int level)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat info;
	int error = fd < 0 || fstat(fd, &info) != 0 ? -errno : 0;

	if (error == 0)
		error = info.st_dev != device ? -EXDEV : level >= WALK_LEVELS ? -ELOOP : 0;
	if (error == 0)
		error = remove_content(fd, level + 1);
	else if (fd >= 0)
		close(fd);
	if (error == 0 && unlinkat(folder_fd, name, AT_REMOVEDIR) != 0)
		error = -errno;
	return error;
}

/* What is gone already is as good as removed. */
static int remove_at(int folder_fd, const char *name, dev_t device, int level)
{
	int error = unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT ? 0 : -errno;

	return error == -EISDIR ? remove_folder(folder_fd, name, device, level) : error;
}

int file_remove(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	struct place place;
	struct stat folder, info;
	int error = place_open(request->path, false, &place);

	(void)exchange; /* all that is said is the answer */
	if (error == 0 && (fstatat(place.folder_fd, place.name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
			   fstat(place.folder_fd, &folder) != 0))
		error = -errno;
	if (error != 0)
		return error;
	if (!S_ISDIR(info.st_mode) || request->recursive)
		error = remove_at(place.folder_fd, place.name, folder.st_dev, 1);
	else if (unlinkat(place.folder_fd, place.name, AT_REMOVEDIR) != 0)
		error = -errno;
	text_put(answer, "{}");
	return error;
}
