#define _GNU_SOURCE
#include "faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic long countdown;
static _Atomic int kind;
static const char *_Atomic hit;
static _Atomic long stayed;

void faulty_arm(enum fault_kind new_kind, long n)
{
	hit = NULL;
	stayed = 0;
	kind = (int)new_kind;
	countdown = n;
}

long faulty_stayed(void)
{
	return stayed;
}

bool faulty_disarm(const char **name)
{
	countdown = 0;
	*name = hit;
	return hit != NULL;
}

/* Whether this call is the one. */
static bool fails(enum fault_kind call_kind, const char *name)
{
	if ((int)call_kind != kind || countdown <= 0 || atomic_fetch_sub(&countdown, 1) != 1)
		return false;
	hit = name;
	return true;
}

static const char *_Atomic held;
static _Atomic bool waits;
static _Atomic long calls_since;

void faulty_hold(const char *name)
{
	held = name;
}

void faulty_let_go(void)
{
	calls_since = 0;
	held = NULL;
}

bool faulty_waits(void)
{
	return waits;
}

long faulty_calls_since(void)
{
	return calls_since;
}

static void wait_if_held(const char *name)
{
	const char *name_held = held;

	if (!name_held || strcmp(name, name_held) != 0) {
		calls_since++;
		return;
	}
	waits = true;
	while (held)
		usleep(1000);
	waits = false;
}

/* A call that fails with -1 and errno. */
#define FAULTY(returns, name, parameters, arguments, error)                                                            \
	returns faulty_##name parameters;                                                                              \
	returns faulty_##name parameters                                                                               \
	{                                                                                                              \
		if (fails(FAULT_ERROR, #name)) {                                                                       \
			errno = error;                                                                                 \
			return (returns)-1;                                                                            \
		}                                                                                                      \
		return name arguments;                                                                                 \
	}

/* A call that moves bytes: it may be interrupted or short as well. */
#define FAULTY_IO(name, pointer, error)                                                                                \
	ssize_t faulty_##name(int fd, pointer buffer, size_t bytes, off_t offset);                                     \
	ssize_t faulty_##name(int fd, pointer buffer, size_t bytes, off_t offset)                                      \
	{                                                                                                              \
		if (fails(FAULT_ERROR, #name)) {                                                                       \
			errno = error;                                                                                 \
			return -1;                                                                                     \
		}                                                                                                      \
		if (fails(FAULT_INTERRUPT, #name)) {                                                                   \
			errno = EINTR;                                                                                 \
			return -1;                                                                                     \
		}                                                                                                      \
		if (bytes > 8 && fails(FAULT_SHORT, #name))                                                            \
			bytes = bytes / 16 * 8;                                                                        \
		wait_if_held(#name);                                                                                   \
		return name(fd, buffer, bytes, offset);                                                                \
	}

FAULTY_IO(pwrite, const void *, ENOSPC)
FAULTY_IO(pread, void *, EIO)
FAULTY(int, ftruncate, (int fd, off_t bytes), (fd, bytes), ENOSPC)
FAULTY(int, fallocate, (int fd, int mode, off_t at, off_t bytes), (fd, mode, at, bytes), EOPNOTSUPP)
FAULTY(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence), EIO)

int faulty_fsync(int fd);
int faulty_fsync(int fd)
{
	if (fails(FAULT_ERROR, "fsync")) {
		errno = EIO;
		return -1;
	}
	wait_if_held("fsync");
	return fsync(fd);
}
FAULTY(int, fstat, (int fd, struct stat *info), (fd, info), EIO)
FAULTY(int, eventfd, (unsigned initial, int flags), (initial, flags), EMFILE)
FAULTY(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE)
FAULTY(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), ECONNREFUSED)
FAULTY(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), EPIPE)
FAULTY(void *, mmap, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
       (at, bytes, protection, flags, fd, offset), ENOMEM)

#define FAULTY_ALLOCATION(name, parameters, arguments)                                                                 \
	void *faulty_##name parameters;                                                                                \
	void *faulty_##name parameters                                                                                 \
	{                                                                                                              \
		return fails(FAULT_ERROR, #name) ? NULL : name arguments;                                              \
	}
FAULTY_ALLOCATION(malloc, (size_t bytes), (bytes))
FAULTY_ALLOCATION(calloc, (size_t count, size_t bytes), (count, bytes))
FAULTY_ALLOCATION(realloc, (void *at, size_t bytes), (at, bytes))

/* Whether this read is one of those that fail for good. */
static bool stays_broken(enum fault_kind call_kind, const char *name)
{
	if (kind != (int)call_kind || countdown <= 0)
		return false;
	if (countdown > 1) {
		countdown--;
		return false;
	}
	hit = name;
	stayed++;
	return true;
}

/* The userfaultfd's alone: kernel.c has no other read(). */
ssize_t faulty_read(int fd, void *buffer, size_t bytes);
ssize_t faulty_read(int fd, void *buffer, size_t bytes)
{
	if (stays_broken(FAULT_STAYS, "read") || fails(FAULT_ERROR, "read")) {
		errno = EINVAL;
		return -1;
	}
	return read(fd, buffer, bytes);
}

static _Atomic unsigned long border_pages;

void faulty_borders(unsigned long pages)
{
	border_pages = pages;
}

static bool reaches_over_border(const struct uffdio_writeprotect *protect)
{
	unsigned long stretch = border_pages * 4096;
	uint64_t start = protect->range.start, end = start + protect->range.len;

	return stretch && start / stretch != (end - 1) / stretch;
}

/* What unregistering several mappings may leave when it fails: some of them unregistered. */
static void unregister_half(int fd, const struct uffdio_range *range)
{
	struct uffdio_range half = {.start = range->start, .len = range->len / 4096 / 2 * 4096};

	if (half.len > 0)
		ioctl(fd, UFFDIO_UNREGISTER, &half);
}

int faulty_ioctl(int fd, unsigned long request, void *arg);
int faulty_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == UFFDIO_WRITEPROTECT && reaches_over_border(arg)) {
		errno = ENOENT;
		return -1;
	}
	if (fails(FAULT_ERROR, "ioctl")) {
		if (request == UFFDIO_UNREGISTER)
			unregister_half(fd, arg);
		errno = ENOMEM;
		return -1;
	}
	return ioctl(fd, request, arg);
}

int faulty_open(const char *path, int flags, mode_t mode);
int faulty_open(const char *path, int flags, mode_t mode)
{
	if (fails(FAULT_ERROR, "open")) {
		errno = EMFILE;
		return -1;
	}
	return open(path, flags, mode);
}

static bool is_userfaultfd(int fd)
{
	char name[64], link[64] = "";

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return readlink(name, link, sizeof(link) - 1) > 0 && strstr(link, "[userfaultfd]");
}

int faulty_poll(struct pollfd *fds, nfds_t count, int timeout);
int faulty_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (fails(FAULT_INTERRUPT, "poll")) {
		errno = EINTR;
		return -1;
	}
	/* Of two: the userfaultfd, and what ends the wait for it. */
	if (count == 2 && is_userfaultfd(fds[0].fd) && stays_broken(FAULT_POLL_STAYS, "poll")) {
		int others = poll(&fds[1], 1, 0);

		fds[0].revents = POLLERR;
		return others < 0 ? others : others + 1;
	}
	return poll(fds, count, timeout);
}

FILE *faulty_open_memstream(char **text, size_t *length);
FILE *faulty_open_memstream(char **text, size_t *length)
{
	if (fails(FAULT_ERROR, "open_memstream")) {
		errno = ENOMEM;
		return NULL;
	}
	return open_memstream(text, length);
}

int faulty_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int faulty_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	return fails(FAULT_ERROR, "pthread_create") ? EAGAIN : pthread_create(thread, attributes, run, arg);
}
