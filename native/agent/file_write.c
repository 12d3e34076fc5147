#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "entry.h"
#include "file_place.h"
#include "file_read.h"

struct writing {
	struct place place;
	char temporary[32];
	int fd;
	struct stat old; /* st_nlink is 0 when there is none */
};

int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t count = write(fd, bytes, length);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0) {
			bytes += count;
			length -= (size_t)count; /* positive */
		}
	}
	return 0;
}

/* What is there already, if anything, must be a file. */
static int look_at_old(const struct file_request *request, struct writing *writing)
{
	struct stat *old = &writing->old;

	if (fstatat(writing->place.folder_fd, writing->place.name, old, AT_SYMLINK_NOFOLLOW) != 0) {
		old->st_nlink = 0;
		return errno == ENOENT ? 0 : -errno;
	}
	if (request->exclusive)
		return -EEXIST;
	return S_ISREG(old->st_mode) ? 0 : S_ISDIR(old->st_mode) ? -EISDIR : -ENXIO;
}

static int open_temporary(struct writing *writing)
{
	unsigned long long chance = 0;

	if (getrandom(&chance, sizeof chance, 0) < 0)
		return -errno;
	snprintf(writing->temporary, sizeof writing->temporary, ".bough-%016llx", chance);
	writing->fd = openat(writing->place.folder_fd, writing->temporary,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return writing->fd < 0 ? -errno : 0;
}

static int take_bytes(struct exchange *exchange, int fd)
{
	for (;;) {
		ssize_t count = exchange_receive(exchange);
		int error = count <= 0 ? (int)count : write_all(fd, exchange->bytes, (size_t)count); /* it is 0, or an error */

		if (count <= 0 || error != 0)
			return error;
	}
}

/* Only root may give a file away; that anybody else owns what he writes is how it should be. */
static int set_owner_and_mode(const struct file_request *request, const struct writing *writing)
{
	const struct stat *old = &writing->old;
	mode_t mode = old->st_nlink > 0 ? old->st_mode & 0777 : 0644;

	if (old->st_nlink > 0 && geteuid() == 0 && fchown(writing->fd, old->st_uid, old->st_gid) != 0)
		return -errno;
	if (request->mode >= 0)
		mode = (mode_t)request->mode; /* four octal digits */
	return fchmod(writing->fd, mode) != 0 ? -errno : 0;
}

static int put_in_place(const struct file_request *request, const struct writing *writing)
{
	const struct place *place = &writing->place;
	/* musl has no function for it. */
	const long flags = request->exclusive ? 1 /* RENAME_NOREPLACE */ : 0;

	return syscall(SYS_renameat2, place->folder_fd, writing->temporary, place->folder_fd, place->name, flags) != 0
		       ? -errno
		       : 0;
}

static int fill(const struct file_request *request, struct exchange *exchange, const struct writing *writing)
{
	int error = take_bytes(exchange, writing->fd);

	if (error == 0)
		error = set_owner_and_mode(request, writing);
	if (error == 0)
		error = put_in_place(request, writing);
	if (error != 0)
		unlinkat(writing->place.folder_fd, writing->temporary, 0);
	return error;
}

static int tell_written(const struct file_request *request, int fd, struct text *answer)
{
	struct stat info;
	const struct entry entry = { .path = request->path, .info = &info };

	if (fstat(fd, &info) != 0)
		return -errno;
	text_put(answer, "{\"file\":");
	entry_describe(&entry, answer);
	text_put(answer, "}");
	return 0;
}

int file_write(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	struct writing writing = { .fd = -1 };
	int error = place_open_target(request->path, request->parents, &writing.place);

	if (error == 0)
		error = look_at_old(request, &writing);
	if (error == 0)
		error = open_temporary(&writing);
	if (error == 0)
		error = fill(request, exchange, &writing);
	return error == 0 ? tell_written(request, writing.fd, answer) : error;
}
