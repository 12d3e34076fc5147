/* A program begins under a kernel that knows nothing of cgroups when it forks, and refuses what it does not know (5.3 to 5.6): without its group. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spawn.h"

#define KNOWN_BYTES 64

static unsigned refused;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* As copy_struct_from_user() of the kernel has it. */
long __wrap_syscall(long number, ...)
{
	va_list arguments;
	const uint8_t *how;
	size_t size;

	va_start(arguments, number);
	how = va_arg(arguments, const uint8_t *);
	size = va_arg(arguments, size_t);
	va_end(arguments);
	if (number != SYS_clone3) {
		errno = ENOSYS; /* close_range(), which came with 5.9 */
		return -1;
	}
	for (size_t i = KNOWN_BYTES; i < size; i++)
		if (how[i] != 0) {
			refused++;
			errno = E2BIG;
			return -1;
		}
	return __real_syscall(number, how, size < KNOWN_BYTES ? size : KNOWN_BYTES);
}

int main(void)
{
	char *args[] = { "/bin/sh", "-c", "exit 7", NULL };
	char *entries[] = { NULL };
	struct env env = { .entries = entries };
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct launch launch = { .args = args, .env = &env, .cwd = "/", .passed_fd = -1, .as_root = true, .group_fd = folder };
	struct child child;
	int signal;

	launch.stdin_fd = launch.stdout_fd = launch.stderr_fd = null;
	assert(folder >= 0 && null >= 0);
	assert(spawn(&launch, &child) == 0 && refused == 1);
	assert(poll(&(struct pollfd){ .fd = child.pidfd, .events = POLLIN }, 1, 60000) == 1);
	assert(reap(child.pid, &signal) == 7 && signal == 0);
	assert(spawn_outcome(&child.report_fd) == 0);
	close(child.pidfd);
	close(folder);
	close(null);
	return 0;
}
