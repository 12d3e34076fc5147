#include "joined_write.h"

#include <string.h>
#include <unistd.h>

ssize_t joined_write(int fd, const struct iovec *parts, int count, size_t from)
{
	static char joined[WRITE_BYTES];
	size_t length = 0;

	if (count > 1 && from >= parts->iov_len) {
		from -= parts->iov_len;
		parts++;
		count--;
	}
	if (count == 1)
		return write(fd, (const char *)parts->iov_base + from, parts->iov_len - from);
	for (int i = 0; i < count; i++, from = 0) {
		size_t part = parts[i].iov_len - from, room = sizeof joined - length;

		if (part > room)
			part = room;
		if (part > 0)
			memcpy(joined + length, (const char *)parts[i].iov_base + from, part);
		length += part;
	}
	return write(fd, joined, length);
}
