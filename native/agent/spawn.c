#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "image_user.h"
#include "protection.h"
#include "spawner.h"

static struct rlimit descriptors;

void spawn_raise_descriptors(void)
{
	struct rlimit all;

	if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
		return;
	all = descriptors;
	all.rlim_cur = all.rlim_max;
	setrlimit(RLIMIT_NOFILE, &all);
}

/* Tries each folder of the path, as a shell does. Returns only when none will do: the errno that tells most. */
static int execute_in_path(const struct launch *launch, const char *path)
{
	char file[4096];
	int error = ENOENT;

	while (path != NULL) {
		const char *end = strchrnul(path, ':');
		int length = (int)(end - path); /* compared with the buffer by snprintf's result */
		int needed = snprintf(file, sizeof file, "%.*s/%s", length, length == 0 ? "." : path, launch->args[0]);

		if (length == 0)
			needed = snprintf(file, sizeof file, "./%s", launch->args[0]);
		if (needed > 0 && (size_t)needed < sizeof file) {
			execve(file, launch->args, launch->env->entries);
			if (errno != ENOENT && errno != ENOTDIR)
				error = errno;
		}
		path = *end == 0 ? NULL : end + 1;
	}
	return error;
}

/* Its own standard streams are its to open again by name; devices that others use as well stay whose they are. */
static void give_streams(const struct user *user, bool terminal)
{
	struct stat info;

	for (int i = 0; i < 3; i++)
		if (fstat(i, &info) == 0 && (S_ISFIFO(info.st_mode) || (terminal && S_ISCHR(info.st_mode))) &&
		    fchown(i, user->uid, (gid_t)-1) != 0)
			errno = 0; /* it can still use them */
}

/* All above the standard streams but these two. Until it runs its program, a child would keep open what others wait for the end of. */
static void close_but(int kept, int kept_too)
{
#ifdef SYS_close_range
	const unsigned low = (unsigned)(kept < kept_too ? kept : kept_too), high = (unsigned)(kept < kept_too ? kept_too : kept);

	if (low > 3)
		syscall(SYS_close_range, 3u, low - 1, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, UINT_MAX, 0);
#else
	(void)kept, (void)kept_too;
#endif
}

/* In the child, perhaps in memory that is not its own. Returns only when it cannot begin: why not. */
static int become(const struct launch *launch, const struct user *user, int report_fd)
{
	const int fds[3] = { launch->stdin_fd, launch->stdout_fd, launch->stderr_fd };
	const char *path = env_get(launch->env, "PATH");
	sigset_t none;

	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return errno;
	if (launch->terminal && ioctl(0, TIOCSCTTY, 0) != 0)
		return errno;
	if (launch->passed_fd >= 0 && fcntl(launch->passed_fd, F_SETFD, 0) != 0)
		return errno;
	close_but(report_fd, launch->passed_fd >= 0 ? launch->passed_fd : report_fd);
	if (descriptors.rlim_max > 0)
		setrlimit(RLIMIT_NOFILE, &descriptors);
	if (user != NULL) {
		int error;

		give_streams(user, launch->terminal);
		error = user_become(user);
		if (error != 0)
			return -error;
	}
	if (chdir(launch->cwd) != 0)
		return SPAWN_CANNOT_ENTER;
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (strchr(launch->args[0], '/') == NULL)
		return execute_in_path(launch, path == NULL ? "/bin:/usr/bin" : path);
	execve(launch->args[0], launch->args, launch->env->entries);
	return errno;
}

/* In the child, likewise. */
static void begin(const struct launch *launch, const struct user *user, int report_fd)
{
	int error = become(launch, user, report_fd);

	if (write(report_fd, &error, sizeof error) < 0)
		error = 0; /* nobody is there to be told */
	_exit(127);
}

static int spawn_as(const struct launch *launch, const struct user *user, struct child *child)
{
	int error = 0, report[2];

	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
		return -errno;
	child->pidfd = -1;
	protection_drop();
	if (!spawner_start(launch, user, report[1], child, begin)) {
		child->pid = clone_apart(&(struct clone_request){ .group_fd = launch->group_fd, .pidfd = &child->pidfd });
		if (child->pid == 0)
			begin(launch, user, report[1]);
		if (child->pid < 0)
			child->pid = -errno;
	}
	if (child->pid < 0)
		error = child->pid;
	protection_take();
	close(report[1]);
	child->report_fd = report[0];
	if (error != 0)
		close(report[0]);
	return error;
}

int spawn(const struct launch *launch, struct child *child)
{
	struct user of_image;
	int error;

	if (launch->user != NULL || launch->as_root || !image_user_is_set())
		return spawn_as(launch, launch->user, child);
	error = image_user_find(&of_image);
	return error == 0 ? spawn_as(launch, &of_image, child) : error;
}

int spawn_outcome(int *report_fd)
{
	int error = 0;
	ssize_t count = *report_fd < 0 ? 0 : read(*report_fd, &error, sizeof error);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (*report_fd >= 0)
		close(*report_fd);
	*report_fd = -1;
	return count == (ssize_t)sizeof error ? -error : 0;
}

const char *spawn_reason(int error)
{
	if (error == -ENOENT || error == -ENOTDIR)
		return "not found";
	if (error == -SPAWN_CANNOT_ENTER)
		return "its user cannot enter its working directory";
	return error == -EUSERS ? "the image's user is unknown in it" : strerror(-error);
}

int reap(pid_t pid, int *signal)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
