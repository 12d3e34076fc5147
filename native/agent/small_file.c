#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int small_file_read(const char *path, size_t limit, struct text *text)
{
	const size_t piece = 4096;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat info;
	ssize_t count = 1;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
		count = 0;
	while (count > 0 && text->length < limit && text_reserve(text, piece)) {
		count = read(fd, text->bytes + text->length, piece);
		text->length += count > 0 ? (size_t)count : 0;
		error = count < 0 ? -errno : 0;
	}
	close(fd);
	return text->failed ? -ENOMEM : error;
}
