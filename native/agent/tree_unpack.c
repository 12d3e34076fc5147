#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_place.h"
#include "file_read.h"
#include "tar.h"
#include "tree.h"

struct unpacking {
	struct exchange *exchange;
	size_t at, length; /* what is left of the piece that came last */
	bool ended;	   /* the client has sent all */
	int root_fd;
	long long count;
};

/* As the kernel has it; musl has no header for it. */
struct how {
	uint64_t flags, mode, resolve;
};

#define BENEATH 0x0a /* RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS */

static int open_beneath(int root_fd, const char *path)
{
	const struct how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = BENEATH };
	long fd = syscall(SYS_openat2, root_fd, *path == 0 ? "." : path, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd; /* a descriptor */
}

/* The folder of that path, made if it is missing. A descriptor or -errno. Spoils the path. */
static int folder_beneath(int root_fd, char *path)
{
	int fd = open_beneath(root_fd, path);
	char *slash, *name;
	int above, error = 0;

	if (fd != -ENOENT || *path == 0)
		return fd;
	slash = strrchr(path, '/');
	name = strdup(slash == NULL ? path : slash + 1);
	if (name == NULL)
		return -ENOMEM;
	*(slash == NULL ? path : slash) = 0;
	above = folder_beneath(root_fd, path);
	if (above >= 0 && mkdirat(above, name, 0755) != 0 && errno != EEXIST)
		error = -errno;
	if (above >= 0 && error == 0)
		fd = open_beneath(above, name);
	if (above >= 0)
		close(above);
	free(name);
	return above < 0 ? above : error != 0 ? error : fd;
}

/* Slashes and dots at both ends mean nothing in an archive. Empty for the folder itself. */
static void trim(const char *path, char *to, size_t room)
{
	size_t length;

	while (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == 0)))
		path++;
	snprintf(to, room, "%s", path);
	length = strlen(to);
	while (length > 0 && (to[length - 1] == '/' || (to[length - 1] == '.' && length > 1 && to[length - 2] == '/')))
		to[--length] = 0;
}

/* 0 with place->name empty for the folder that is unpacked into. */
static int place_beneath(int root_fd, const char *path, struct place *place)
{
	char own[4097];
	char *slash, *name;

	trim(path, own, sizeof own);
	slash = strrchr(own, '/');
	name = slash == NULL ? own : slash + 1;
	if (strcmp(name, "..") == 0)
		return -EBADMSG;
	if (strlen(name) >= sizeof place->name)
		return -ENAMETOOLONG;
	strcpy(place->name, name);
	*name = 0;
	if (slash != NULL)
		*slash = 0;
	place->folder_fd = folder_beneath(root_fd, own);
	return place->folder_fd < 0 ? place->folder_fd : 0;
}

/* Up to so many bytes of what the client sends, in place. How many; 0 at the end; -errno. */
static ssize_t take(struct unpacking *unpacking, size_t most, const char **bytes)
{
	size_t count;

	if (unpacking->at == unpacking->length) {
		ssize_t received = unpacking->ended ? 0 : exchange_receive(unpacking->exchange);

		unpacking->ended |= received == 0;
		if (received <= 0)
			return received;
		unpacking->at = 0;
		unpacking->length = (size_t)received; /* positive */
	}
	count = unpacking->length - unpacking->at;
	count = count < most ? count : most;
	*bytes = unpacking->exchange->bytes + unpacking->at;
	unpacking->at += count;
	return (ssize_t)count; /* a piece at most */
}

/* 1, 0 at the end in front of a block, -EBADMSG in the middle of one. */
static int take_block(struct unpacking *unpacking, char *block)
{
	size_t filled = 0;

	while (filled < TAR_BLOCK) {
		const char *bytes;
		ssize_t count = take(unpacking, TAR_BLOCK - filled, &bytes);

		if (count < 0)
			return (int)count; /* -errno */
		if (count == 0)
			return filled == 0 ? 0 : -EBADMSG;
		memcpy(block + filled, bytes, (size_t)count); /* positive */
		filled += (size_t)count;
	}
	return 1;
}

/* Passes so many bytes on, or over with -1. */
static int take_content(struct unpacking *unpacking, int fd, int64_t left)
{
	int error = 0;

	while (error == 0 && left > 0) {
		const char *bytes;
		size_t most = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES; /* positive */
		ssize_t count = take(unpacking, most, &bytes);

		if (count <= 0)
			return count < 0 ? (int)count : -EBADMSG; /* -errno */
		if (fd >= 0)
			error = write_all(fd, bytes, (size_t)count); /* positive */
		left -= count;
	}
	return error;
}

/* What it is, we hold: a name could be another thing by now. */
static int settle(int fd, const struct tar_entry *entry)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = entry->mtime } };
	mode_t mode = entry->type == TAR_FOLDER && geteuid() != 0 ? entry->mode | 0700 : entry->mode;

	if (geteuid() == 0 && fchown(fd, entry->uid, entry->gid) != 0)
		return -errno;
	if (fchmod(fd, mode) != 0)
		return -errno;
	/* A time that cannot be set makes it none the worse. */
	if (entry->type == TAR_FILE && futimens(fd, times) != 0)
		errno = 0;
	return 0;
}

static int unpack_file(struct unpacking *unpacking, const struct place *place, const struct tar_entry *entry)
{
	int fd = openat(place->folder_fd, place->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error = fd < 0 ? -errno : take_content(unpacking, fd, entry->size);

	if (error == 0)
		error = settle(fd, entry);
	if (fd >= 0)
		close(fd);
	return error == 0 ? take_content(unpacking, -1, (int64_t)tar_padding(entry->size)) : error; /* below a block */
}

/* `found`: it is there. */
static int unpack_folder(const struct place *place, const struct tar_entry *entry, bool found)
{
	int error = !found && mkdirat(place->folder_fd, place->name, 0700) != 0 ? -errno : 0;
	int fd = error != 0 ? -1 : openat(place->folder_fd, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (error == 0)
		error = fd < 0 ? -errno : settle(fd, entry);
	if (fd >= 0)
		close(fd);
	return error;
}

static int link_beneath(struct unpacking *unpacking, const struct place *place, const char *target)
{
	struct place old = { .folder_fd = -1 };
	int error = place_beneath(unpacking->root_fd, target, &old);

	if (error == 0 && linkat(old.folder_fd, old.name, place->folder_fd, place->name, 0) != 0)
		error = -errno;
	if (old.folder_fd >= 0)
		close(old.folder_fd);
	return error;
}

/* A folder stays; anything else gives way. 1 when the folder is there already. */
static int make_way(const struct place *place, const struct tar_entry *entry)
{
	struct stat info;

	if (fstatat(place->folder_fd, place->name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(info.st_mode) && entry->type == TAR_FOLDER)
		return 1;
	return unlinkat(place->folder_fd, place->name, S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0) != 0 ? -errno : 0;
}

/* By its name it could be another's by now: what is given away is held, and was made here. */
static int give(const struct place *place, const struct tar_entry *entry)
{
	const mode_t type = entry->type == TAR_LINK ? S_IFLNK : S_IFIFO;
	int fd = openat(place->folder_fd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	int error = fd < 0 || fstat(fd, &info) != 0 ? -errno : 0;

	if (error == 0 && ((info.st_mode & S_IFMT) != type || info.st_nlink != 1 || info.st_uid != geteuid()))
		error = -EPERM;
	if (error == 0 && fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) != 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

/* What has no bytes and no descriptor. */
static int make_other(struct unpacking *unpacking, const struct place *place, const struct tar_entry *entry)
{
	int error = 0;

	if (entry->type == TAR_HARD_LINK)
		return link_beneath(unpacking, place, entry->target);
	if (entry->type != TAR_LINK && entry->type != TAR_FIFO)
		return -ENOTSUP;
	if ((entry->type == TAR_LINK ? symlinkat(entry->target, place->folder_fd, place->name) :
				       mkfifoat(place->folder_fd, place->name, entry->mode)) != 0)
		error = -errno;
	return error == 0 && geteuid() == 0 ? give(place, entry) : error;
}

static int unpack_at(struct unpacking *unpacking, const struct place *place, const struct tar_entry *entry)
{
	int found;

	/* The folder itself is as it is. */
	if (*place->name == 0)
		return entry->type == TAR_FOLDER ? 0 : -EBADMSG;
	found = make_way(place, entry);
	if (found < 0)
		return found;
	if (entry->type == TAR_FOLDER)
		return unpack_folder(place, entry, found > 0);
	return entry->type == TAR_FILE ? unpack_file(unpacking, place, entry) : make_other(unpacking, place, entry);
}

static int unpack_entry(struct unpacking *unpacking, const struct tar_entry *entry)
{
	struct place place;
	int error = place_beneath(unpacking->root_fd, entry->path, &place);

	if (error != 0)
		return error;
	error = unpack_at(unpacking, &place, entry);
	close(place.folder_fd);
	unpacking->count++;
	return error;
}

/* Archives end with as many zeros as their writers like. */
static int take_rest(struct unpacking *unpacking)
{
	const char *bytes;
	ssize_t count;

	do
		count = take(unpacking, CHUNK_BYTES, &bytes);
	while (count > 0);
	return (int)count; /* 0 or -errno */
}

static int unpack_all(struct unpacking *unpacking, struct tar_reader *reader)
{
	char block[TAR_BLOCK];
	int error = 0;

	tar_forget(reader);
	while (error == 0 && !reader->ended) {
		struct tar_entry entry;
		int taken = take_block(unpacking, block);

		if (taken <= 0)
			return taken < 0 ? taken : -EBADMSG;
		error = tar_take_block(reader, block, &entry);
		if (error == 1) {
			error = unpack_entry(unpacking, &entry);
			tar_forget(reader);
		}
	}
	return error == 0 ? take_rest(unpacking) : error;
}

int tree_unpack(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	static struct tar_reader reader;
	struct unpacking unpacking = { .exchange = exchange };
	int error = request->parents ? make_folders(request->path, 0755) : 0;

	umask(0);
	unpacking.root_fd = error == 0 ? open(request->path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (error == 0 && unpacking.root_fd < 0)
		error = -errno;
	if (error == 0)
		error = unpack_all(&unpacking, &reader);
	text_put(answer, "{\"entries\":");
	text_number(answer, unpacking.count);
	text_put(answer, "}");
	return error;
}
