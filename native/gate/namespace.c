/*
 * namespace.c - the root of a confined process, made of bind mounts in a tmpfs.
 *
 *   /            a tmpfs, read-only at the end; first with  old/ (the host's root, until all is bound)  and  new/ (what becomes the root)
 *
 * A rule for a path below another's is the one that holds for it, so they are bound shortest first. Who is confined cannot undo it: its capabilities
 * end with exec(), and Landlock refuses mounts also in a further namespace.
 */
#define _GNU_SOURCE
#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel has it (5.12); the headers of Debian 12 have it in a file that does not go with sys/mount.h. */
#define CALL_MOUNT_SETATTR 442
#define ATTR_RDONLY 0x1u
#define ATTR_NOSUID 0x2u
#define WHOLE_TREE 0x8000u
struct attributes {
	uint64_t set, clear, propagation, userns_fd;
};

/* Hides only what is mounted on it until the roots are changed. */
#define STAGE "/tmp"

static const char *path_of(const char *rule)
{
	return strchr(rule, '=') + 1;
}

static int by_length(const void *one, const void *other)
{
	/* The casts: qsort() has one type for all that it sorts. */
	size_t a = strlen(path_of(*(char *const *)one)), b = strlen(path_of(*(char *const *)other));

	return (a > b) - (a < b);
}

static int result(long value)
{
	return value < 0 ? -errno : 0;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	error = result(write(fd, text, strlen(text)));
	close(fd);
	return error;
}

static int keep_user(uid_t uid, gid_t gid)
{
	char uids[32], gids[32];
	int error = write_text("/proc/self/setgroups", "deny");

	snprintf(uids, sizeof(uids), "%u %u 1", uid, uid);
	snprintf(gids, sizeof(gids), "%u %u 1", gid, gid);
	error = error ? error : write_text("/proc/self/uid_map", uids);
	return error ? error : write_text("/proc/self/gid_map", gids);
}

static int set_attributes(const char *path, uint64_t set, unsigned flags)
{
	struct attributes attributes = {.set = set};

	return result(syscall(CALL_MOUNT_SETATTR, AT_FDCWD, path, flags, &attributes, sizeof(attributes)));
}

/* The way to `target`, and something to mount on. */
static int make_place(char *target, bool is_folder)
{
	struct stat about;
	int fd;

	for (char *slash = strchr(target + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int error = result(mkdir(target, 0755));
		*slash = '/';
		if (error && error != -EEXIST)
			return error;
	}
	if (stat(target, &about) == 0)
		return 0;
	if (is_folder)
		return result(mkdir(target, 0755));
	fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : result(close(fd));
}

static int bind_rule(const char *rule)
{
	char source[PATH_MAX], target[PATH_MAX], real[PATH_MAX];
	struct stat about;
	int error;

	if (snprintf(source, sizeof(source), "/old%s", path_of(rule)) >= PATH_MAX ||
	    snprintf(target, sizeof(target), "/new%s", path_of(rule)) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!realpath(source, real) || stat(real, &about) != 0)
		return errno == ENOENT ? 0 : -errno;
	error = make_place(target, S_ISDIR(about.st_mode));
	error = error ? error : result(mount(real, target, NULL, MS_BIND | MS_REC, NULL));
	if (error)
		return error;
	return set_attributes(target, ATTR_NOSUID | (strncmp(rule, "read=", 5) == 0 ? ATTR_RDONLY : 0), WHOLE_TREE);
}

static int pivot(const char *root, const char *old)
{
	return result(syscall(SYS_pivot_root, root, old));
}

/* From the host's root to one with `old` and `new` in it. */
static int enter_stage(void)
{
	int error = result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));

	error = error ? error : result(mount("bough", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m"));
	error = error ? error : result(chdir(STAGE));
	error = error ? error : result(mkdir("old", 0755));
	error = error ? error : result(mkdir("new", 0755));
	error = error ? error : pivot(".", "old");
	error = error ? error : result(chdir("/"));
	return error ? error : result(mount("/new", "/new", NULL, MS_BIND, NULL));
}

static int leave_stage(void)
{
	int error = result(umount2("/old", MNT_DETACH));

	error = error ? error : result(chdir("/new"));
	error = error ? error : pivot(".", ".");
	error = error ? error : result(umount2(".", MNT_DETACH));
	error = error ? error : result(chdir("/"));
	return error ? error : set_attributes("/", ATTR_RDONLY, 0);
}

int namespace_enter(char **rules, const char **step)
{
	const uid_t uid = getuid();
	const gid_t gid = getgid();
	size_t count = 0;
	int error;

	while (rules[count])
		count++;
	qsort(rules, count, sizeof(*rules), by_length);
	*step = "a user namespace";
	error = result(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET));
	error = error ? error : keep_user(uid, gid);
	if (error)
		return error;
	*step = "a root of its own";
	error = enter_stage();
	for (size_t i = 0; !error && i < count; i++) {
		*step = rules[i];
		error = bind_rule(rules[i]);
	}
	if (error)
		return error;
	*step = "a root of its own";
	return leave_stage();
}
