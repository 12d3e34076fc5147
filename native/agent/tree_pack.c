#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "file_read.h"
#include "tar.h"
#include "tree.h"
#include "walk.h"

struct packing {
	struct walk walk;
	struct exchange *exchange;
};

/* 0 for what an archive does not hold. */
static int type_of(mode_t mode)
{
	return S_ISREG(mode) ? TAR_FILE : S_ISDIR(mode) ? TAR_FOLDER : S_ISLNK(mode) ? TAR_LINK : S_ISFIFO(mode) ? TAR_FIFO : 0;
}

static int send_header(struct exchange *exchange, struct tar_entry *entry, const struct stat *info)
{
	struct text header = { 0 };

	entry->mode = info->st_mode & 07777;
	entry->uid = info->st_uid;
	entry->gid = info->st_gid;
	entry->mtime = info->st_mtim.tv_sec;
	tar_add_header(&header, entry);
	return exchange_tell(exchange, FRAME_FILE, &header);
}

static int send_zeros(struct exchange *exchange, int64_t count)
{
	static const char zeros[CHUNK_BYTES];
	int error = 0;

	while (error == 0 && count > 0) {
		size_t length = count < CHUNK_BYTES ? (size_t)count : CHUNK_BYTES; /* positive */

		error = exchange_send(exchange, FRAME_FILE, zeros, length);
		count -= (int64_t)length; /* no more than there was */
	}
	return error;
}

static int pack_file(struct exchange *exchange, int folder_fd, const char *name, struct tar_entry *entry)
{
	struct stat info;
	int64_t left;
	int fd, error = open_file(folder_fd, name, O_NOFOLLOW, &fd, &info);

	if (error != 0)
		return error == -ENOENT || error == -ELOOP || error == -EISDIR || error == -ENXIO ? 0 : error;
	left = entry->size = info.st_size;
	error = send_header(exchange, entry, &info);
	if (error == 0)
		error = send_file(fd, exchange, &left);
	close(fd);
	return error == 0 ? send_zeros(exchange, left + (int64_t)tar_padding(info.st_size)) : error; /* below a block */
}

static int pack_one(struct walk *walk, int folder_fd, const char *name, const struct stat *info, bool unreadable)
{
	struct exchange *exchange = owner_of(walk, struct packing, walk)->exchange;
	int type = type_of(info->st_mode);
	struct tar_entry entry = { .type = (enum tar_type)type, .path = walk->path.bytes };
	char target[PATH_MAX];
	ssize_t length;

	if (unreadable)
		return -EACCES;
	if (type == 0)
		return 0;
	if (type == TAR_FILE)
		return pack_file(exchange, folder_fd, name, &entry);
	if (type == TAR_LINK) {
		length = readlinkat(folder_fd, name, target, sizeof target - 1);
		if (length < 0)
			return errno == ENOENT || errno == EINVAL ? 0 : -errno; /* it went, or is another thing by now */
		target[length] = 0;
		entry.target = target;
	}
	return send_header(exchange, &entry, info);
}

int tree_pack(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	struct packing packing = { .walk = { .found = pack_one, .levels = WALK_LEVELS + 1 }, .exchange = exchange };
	int fd = open(request->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	int error = fd < 0 ? -errno : walk_folder(&packing.walk, fd);

	/* Two blocks of zeros are an archive's end. */
	if (error == 0)
		error = send_zeros(exchange, 2 * TAR_BLOCK);
	text_put(answer, "{}");
	return error;
}
