/*
 * preload.c - how the pager gets into the VMM: LD_PRELOAD, a constructor, and open() and close() interposed.
 *
 * The library is a guest in someone's process: it never exits, aborts or prints. If it cannot start, QEMU runs as
 * if it were not there, and the daemon notices that nobody listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"
#include "kernel.h"
#include "protocol.h"
#include "window.h"

#define EXPORT __attribute__((visibility("default")))

/*
 * QEMU opens the device state file through open64() (open() in builds without large-file names): safe to interpose
 * because it adds one check of a path and then makes the very system call libc's function makes. So is close(), with a check
 * of a number; for that file's alone it runs the pause's body or waits for it, until its deadline.
 */
static int system_open(const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

static int open_state(const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	int fd, error = window_on_open(name, path);

	if (error) {
		errno = -error;
		return -1;
	}
	fd = system_open(path, flags, mode);
	window_on_opened(fd);
	return fd;
}

EXPORT int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return window_has_named(path) ? open_state(path, flags, mode) : system_open(path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...) __attribute__((alias("open64")));

EXPORT int close(int fd)
{
	window_on_close(fd);
	return (int)syscall(SYS_close, fd);
}

__attribute__((constructor)) static void start(void)
{
	const char *socket_path = getenv(PAGER_ENV_SOCKET);
	const char *qmp_path = getenv(PAGER_ENV_QMP);
	const char *device = getenv(PAGER_ENV_USERFAULTFD);

	/* Programs QEMU might start are not VMMs. */
	unsetenv("LD_PRELOAD");
	/* Where it does not serve, nothing is armed, and a branch says so. */
	if (device)
		(void)kernel_use_device(atoi(device));
	if (socket_path && qmp_path)
		control_start(socket_path, qmp_path);
}
