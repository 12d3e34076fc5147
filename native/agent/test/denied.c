#include "denied.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.h"

bool no_memory_to_write, no_memory_to_read, no_memory_for_folders, no_memory_to_send;
size_t no_memory_of_bytes;
const char *no_memory_for, *etc;
int reallocs_until_error = -1;

ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
	errno = ENOMEM;
	return no_memory_to_write ? -1 : __real_write(fd, bytes, length);
}

ssize_t __real_read(int fd, void *bytes, size_t length);
ssize_t __wrap_read(int fd, void *bytes, size_t length);
ssize_t __wrap_read(int fd, void *bytes, size_t length)
{
	errno = ENOMEM;
	return no_memory_to_read ? -1 : __real_read(fd, bytes, length);
}

ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
	if (!no_memory_to_send)
		return __real_send(fd, bytes, length, flags);
	no_memory_to_send = false; /* for once: what is said of it is sent too */
	errno = ENOBUFS;
	return -1;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return size == no_memory_of_bytes ? NULL : __real_malloc(size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	return reallocs_until_error >= 0 && reallocs_until_error-- == 0 ? NULL : __real_realloc(old, size);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
	static int count;

	errno = ENOMEM;
	/* The folder itself first. */
	return no_memory_for_folders && count++ > 0 ? NULL : __real_fdopendir(fd);
}

void __real_text_put(struct text *text, const char *string);
void __wrap_text_put(struct text *text, const char *string);
void __wrap_text_put(struct text *text, const char *string)
{
	if (no_memory_for != NULL && strncmp(string, no_memory_for, strlen(no_memory_for)) == 0)
		text->failed = true;
	__real_text_put(text, string);
}

void __real_text_add(struct text *text, const char *bytes, size_t length);
void __wrap_text_add(struct text *text, const char *bytes, size_t length);
void __wrap_text_add(struct text *text, const char *bytes, size_t length)
{
	size_t wanted = no_memory_for == NULL ? 0 : strlen(no_memory_for);

	if (wanted > 0 && length >= wanted && memcmp(bytes, no_memory_for, wanted) == 0)
		text->failed = true;
	__real_text_add(text, bytes, length);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	errno = ENOMEM;
	if (etc != NULL && strcmp(path, "/etc/hosts") == 0)
		return -1;
	return __real_open(etc != NULL && strcmp(path, "/etc") == 0 ? etc : path, flags);
}

int __wrap_sethostname(const char *name, size_t length);
int __wrap_sethostname(const char *name, size_t length)
{
	(void)name, (void)length; /* it is the host's */
	return 0;
}
