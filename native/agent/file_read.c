#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entry.h"
#include "file_read.h"

static int only_file(const struct stat *info)
{
	return S_ISREG(info->st_mode) ? 0 : S_ISDIR(info->st_mode) ? -EISDIR : -ENXIO;
}

int open_file(int folder_fd, const char *path, int flags, int *fd, struct stat *info)
{
	int error = fstatat(folder_fd, path, info, (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0) != 0 ? -errno : 0;

	if (error == 0)
		error = only_file(info);
	if (error != 0)
		return error;
	/* It may be something else by now: opened without waiting, and looked at once more. */
	*fd = openat(folder_fd, path, flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	error = fstat(*fd, info) != 0 ? -errno : only_file(info);
	if (error != 0)
		close(*fd);
	return error;
}

/* Where the wanted bytes begin, and how many they are. */
static void range_of(const struct file_request *request, int64_t size, int64_t *from, int64_t *length)
{
	*from = request->from < size ? request->from : size;
	if (request->last >= 0)
		*from = request->last < size ? size - request->last : 0;
	*length = request->length < size - *from ? request->length : size - *from;
}

static int tell_file(const struct file_request *request, struct exchange *exchange, const struct stat *info,
		     int64_t from, bool sized)
{
	const struct entry entry = { .path = request->path, .info = info };
	struct text event = { 0 };

	text_put(&event, "{\"file\":");
	entry_describe(&entry, &event);
	text_put(&event, ",\"from\":");
	text_number(&event, from);
	text_put(&event, sized ? ",\"sized\":true}" : ",\"sized\":false}");
	return exchange_tell(exchange, FRAME_EVENT, &event);
}

int send_file(int fd, struct exchange *exchange, int64_t *length)
{
	while (*length > 0) {
		size_t wanted = *length < CHUNK_BYTES ? (size_t)*length : CHUNK_BYTES; /* positive */
		ssize_t count = read(fd, exchange->bytes, wanted);
		int error;

		if (count < 0 && errno == EINTR)
			continue;
		/* Some of /proc would wait for what is not there yet. */
		if (count == 0 || (count < 0 && errno == EAGAIN))
			return 0;
		if (count < 0)
			return -errno;
		error = exchange_send(exchange, FRAME_FILE, exchange->bytes, (size_t)count); /* positive */
		if (error != 0)
			return error;
		*length -= count;
	}
	return 0;
}

int file_read(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	int64_t from = 0, length = INT64_MAX;
	struct stat info;
	bool sized;
	int fd, error = open_file(AT_FDCWD, request->path, 0, &fd, &info);

	if (error != 0)
		return error;
	sized = info.st_blocks > 0;
	if (sized)
		range_of(request, info.st_size, &from, &length);
	error = tell_file(request, exchange, &info, from, sized);
	if (error == 0 && from > 0 && lseek(fd, from, SEEK_SET) < 0)
		error = -errno;
	if (error == 0)
		error = send_file(fd, exchange, &length);
	close(fd);
	if (error == 0 && sized && length > 0)
		error = -ESTALE;
	text_put(answer, "{}");
	return error;
}
