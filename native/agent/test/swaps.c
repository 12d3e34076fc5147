/*
 * What a user of the guest does between two system calls of an errand that works for root in a folder of his: his folder, link or FIFO is
 * another thing by then. The errand's own calls are wrapped (ld's --wrap), so that each swap comes in the one moment that matters, every
 * time; who would be given what is noted and not done, so nobody need be root.
 *
 *   swaps
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errand.h"
#include "file_change.h"
#include "file_look.h"
#include "tar.h"
#include "tree.h"

#define SWAPPED "swapped"

/* What ld calls the functions that are wrapped, and those in their place. */
int __real_symlinkat(const char *target, int fd, const char *name);
int __wrap_symlinkat(const char *target, int fd, const char *name);
int __real_mkfifoat(int fd, const char *name, mode_t mode);
int __wrap_mkfifoat(int fd, const char *name, mode_t mode);
int __real_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __real_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, ...);
int __real_fstat(int fd, struct stat *info);
int __wrap_fstat(int fd, struct stat *info);
int __wrap_fchownat(int fd, const char *name, uid_t uid, gid_t gid, int flags);
uid_t __wrap_geteuid(void);

static char folder[] = "/tmp/bough-swaps-XXXXXX";
static char victim[64], victim_folder[64];
static struct stat given; /* what was given away last; no inode for nothing */
static enum { REMOVED, MADE_A_FILE, MADE_A_LINK, MOMENTS } moment;

static bool is_swapped(const char *name)
{
	return strcmp(name, SWAPPED) == 0;
}

/* Another's file takes the name: as a hard link, which anybody may make who can write the folder. */
static int put_victim(int fd, const char *name)
{
	if (is_swapped(name))
		assert(unlinkat(fd, name, 0) == 0 && linkat(AT_FDCWD, victim, fd, name, 0) == 0);
	return 0;
}

int __wrap_symlinkat(const char *target, int fd, const char *name)
{
	int result = __real_symlinkat(target, fd, name);

	return result == 0 ? put_victim(fd, name) : result;
}

int __wrap_mkfifoat(int fd, const char *name, mode_t mode)
{
	int result = __real_mkfifoat(fd, name, mode);

	return result == 0 ? put_victim(fd, name) : result;
}

int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
	int result = __real_mkdirat(fd, name, mode);

	if (result == 0 && is_swapped(name))
		assert(unlinkat(fd, name, AT_REMOVEDIR) == 0 && __real_symlinkat(victim_folder, fd, name) == 0);
	return result;
}

int __wrap_openat(int fd, const char *name, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
	va_end(more);
	if (is_swapped(name) && (flags & O_DIRECTORY) != 0 && unlinkat(fd, name, AT_REMOVEDIR) == 0) {
		if (moment == MADE_A_FILE)
			close(__real_openat(fd, name, O_WRONLY | O_CREAT, 0600));
		else if (moment == MADE_A_LINK)
			assert(__real_symlinkat(victim_folder, fd, name) == 0);
	}
	return __real_openat(fd, name, flags, mode);
}

/* All that is here is root's. */
int __wrap_fstat(int fd, struct stat *info)
{
	int result = __real_fstat(fd, info);

	info->st_uid = 0;
	return result;
}

uid_t __wrap_geteuid(void)
{
	return 0;
}

int __wrap_fchownat(int fd, const char *name, uid_t uid, gid_t gid, int flags)
{
	(void)uid, (void)gid; /* to whom does not matter */
	return fstatat(fd, name, &given, flags);
}

static ino_t inode_of(const char *path)
{
	struct stat info;

	assert(lstat(path, &info) == 0);
	return info.st_ino;
}

/* In a folder of its own. */
static struct file_request request_of(char *path, const char *name)
{
	sprintf(path, "%s/XXXXXX", folder);
	assert(mkdtemp(path) != NULL);
	if (*name != 0)
		sprintf(path + strlen(path), "/%s", name);
	return (struct file_request){ .path = path, .mode = -1, .depth = 1 };
}

static void open_exchange(struct exchange *exchange, int *other_fd)
{
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	exchange->fd = pair[0];
	*other_fd = pair[1];
}

static int unpack_one(enum tar_type type, const char *name, char *path)
{
	static const char zeros[2 * TAR_BLOCK];
	static struct exchange exchange;
	const struct tar_entry entry = { .type = type, .path = name, .target = "anywhere", .uid = 7, .gid = 7 };
	const struct file_request request = request_of(path, "");
	struct text archive = { 0 }, answer = { 0 };
	int other_fd, error;

	given.st_ino = 0;
	open_exchange(&exchange, &other_fd);
	tar_add_header(&archive, &entry);
	text_add(&archive, zeros, sizeof zeros);
	assert(!archive.failed && message_send(other_fd, FRAME_FILE, archive.bytes, archive.length) == 0 &&
	       message_send(other_fd, FRAME_FILE, "", 0) == 0);
	error = tree_unpack(&request, &exchange, &answer);
	close(exchange.fd);
	close(other_fd);
	text_free(&archive);
	text_free(&answer);
	return error;
}

static void unpacks(enum tar_type type)
{
	char path[128];

	assert(unpack_one(type, SWAPPED, path) == -EPERM);
	assert(given.st_ino == 0);
	assert(unpack_one(type, "left-alone", path) == 0);
	strcat(path, "/left-alone");
	assert(given.st_ino == inode_of(path));
}

static void makes_folder(int mode, int expected)
{
	char path[128];
	struct file_request request = request_of(path, SWAPPED);
	struct text answer = { 0 };
	struct stat info;

	request.mode = mode;
	assert(file_mkdir(&request, NULL, &answer) == expected);
	assert(stat(victim_folder, &info) == 0 && (info.st_mode & 07777) == 0700);
	text_free(&answer);
	request = request_of(path, "left-alone");
	request.mode = mode;
	assert(file_mkdir(&request, NULL, &answer) == 0);
	assert(stat(path, &info) == 0 && (int)(info.st_mode & 07777) == mode); /* twelve bits */
	text_free(&answer);
}

/* A folder that goes while it is looked for is left out, whatever comes in its place. */
static void walks(errand_work work)
{
	char path[128];
	const struct file_request request = request_of(path, "");
	static struct exchange exchange;
	struct text answer = { 0 };
	int other_fd;

	strcat(path, "/" SWAPPED);
	assert(mkdir(path, 0700) == 0);
	*strrchr(path, '/') = 0;
	open_exchange(&exchange, &other_fd);
	assert(work(&request, &exchange, &answer) == 0);
	close(exchange.fd);
	close(other_fd);
	text_free(&answer);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where; /* whatever it is */
	return remove(path);
}

int main(void)
{
	assert(mkdtemp(folder) != NULL);
	sprintf(victim, "%s/victim", folder);
	sprintf(victim_folder, "%s/victim-folder", folder);
	close(open(victim, O_WRONLY | O_CREAT, 0600));
	assert(mkdir(victim_folder, 0700) == 0);
	unpacks(TAR_LINK);
	unpacks(TAR_FIFO);
	makes_folder(0777, 0);
	makes_folder(02775, -ENOTDIR);
	for (moment = REMOVED; moment < MOMENTS; moment++) {
		walks(tree_pack);
		walks(file_list);
	}
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	printf("swaps: nothing of anybody else's was touched\n");
	return 0;
}
