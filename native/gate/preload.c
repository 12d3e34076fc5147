/*
 * preload.c - how the gate gets between libslirp and the kernel: LD_PRELOAD, and the calls that reach the world interposed.
 *
 *   guest ── virtio-net ──▶ QEMU: libslirp ── connect(), sendto() ──▶ here ── Unix socket ──▶ egress ──▶ world
 *
 * An internet socket is a stand-in of ours, also the one that libslirp listens on (forward.h), and the kernel makes no other,
 * from before main() on (seal.h). The egress hears that this is so, by HELLO, only if the listening call came from libslirp:
 * then it is a shared library and our functions are the ones it calls. Whoever started the VMM lets a guest that is to have
 * a network run only then.
 *
 * The library is a guest in someone's process: it never exits, aborts, prints, or touches the guest's memory. Each hook
 * is safe to interpose because for descriptors that are not ours it makes the very system call libc's function makes; close()
 * goes on to the next library that has one, the pager's, which may wait there.
 *
 * Not handled: a libslirp built to call the checked forms of libc's functions (__recv_chk): its guests' cut connections
 * would look complete; and IPv6, which QEMU is to be told to leave out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "calls.h"
#include "channel.h"
#include "forward.h"
#include "protocol.h"
#include "seal.h"
#include "stream.h"
#include "table.h"
#include "udp.h"

#define EXPORT __attribute__((visibility("default")))
/* A pending connection has three descriptors; QEMU's own are few. */
#define DESCRIPTORS_WANTED 8192

/* Set before any other thread is there. */
static bool enabled;
static int seal_error;
/* The pager's, which looks at descriptors too, or libc's. */
static int (*next_close)(int fd);

/* libc's convention out of ours. */
static ssize_t result_of(ssize_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

static bool is_internet(const struct sockaddr *address)
{
	return enabled && address && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t bytes)
{
	if (!is_internet(to))
		return call_connect(fd, to, bytes);
	if (to->sa_family != AF_INET || bytes < sizeof(struct sockaddr_in))
		return (int)result_of(-ENETUNREACH);
	/* The cast: the family says what it is. */
	return (int)result_of(stream_connect(fd, (const struct sockaddr_in *)to));
}

EXPORT ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to, socklen_t to_bytes)
{
	if (!is_internet(to))
		return call_sendto(fd, data, bytes, flags, to, to_bytes);
	if (to->sa_family != AF_INET || to_bytes < sizeof(struct sockaddr_in))
		return result_of(-ENETUNREACH);
	return result_of(udp_send(fd, data, bytes, (const struct sockaddr_in *)to));
}

static void tell(struct sockaddr *address, socklen_t *bytes, const struct sockaddr_in *told)
{
	memcpy(address, told, *bytes < sizeof(*told) ? *bytes : sizeof(*told));
	*bytes = sizeof(*told);
}

static bool is_datagram(int fd)
{
	struct descriptor *descriptor;
	bool result;

	if (!table_knows(fd))
		return false;
	table_lock();
	descriptor = table_find(fd);
	result = descriptor && descriptor->state == DATAGRAM;
	table_unlock();
	return result;
}

EXPORT ssize_t recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *from, socklen_t *from_bytes)
{
	struct sockaddr_in sender;
	ssize_t got;

	if (!is_datagram(fd))
		return call_recvfrom(fd, data, bytes, flags, from, from_bytes);
	got = udp_receive(fd, data, bytes, &sender);
	if (got >= 0 && from && from_bytes)
		tell(from, from_bytes, &sender);
	return result_of(got);
}

/* libslirp looks for ICMP errors before every datagram; a Unix socket would hand out its data for that. */
EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	if ((flags & MSG_ERRQUEUE) && table_knows(fd))
		return result_of(-EAGAIN);
	return call_recvmsg(fd, message, flags);
}

EXPORT ssize_t recv(int fd, void *data, size_t bytes, int flags)
{
	ssize_t got = call_recv(fd, data, bytes, flags);

	if (got == 0 && bytes > 0 && table_knows(fd))
		return result_of(stream_ended(fd));
	return got;
}

EXPORT int close(int fd)
{
	if (table_knows(fd)) {
		table_lock();
		table_forget(fd);
		table_unlock();
	}
	forward_forget(fd);
	/* NULL before our constructor has run. */
	return next_close ? next_close(fd) : call_close(fd);
}

/* A socket to stand in for an internet one, which connect() or sendto() replaces. */
static int stand_in(int type, bool is_udp)
{
	int fd, error;

	/* libslirp answers a guest's SYN with a reset for this errno alone. */
	if (!table_has_room(is_udp))
		return is_udp ? -ENOBUFS : -ECONNREFUSED;
	fd = call_socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = table_add(fd, is_udp);
	if (error)
		call_close(fd);
	return error ? error : fd;
}

EXPORT int socket(int domain, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), result;
	bool is_udp = kind == SOCK_DGRAM;

	if (!enabled || (domain != AF_INET && domain != AF_INET6))
		return call_socket(domain, type, protocol);
	if (domain != AF_INET || (kind != SOCK_STREAM && !is_udp) || (is_udp && protocol == IPPROTO_ICMP))
		return (int)result_of(-EACCES);
	table_lock();
	result = stand_in(type, is_udp);
	table_unlock();
	return (int)result_of(result);
}

/* The stand-in becomes the one socket that listens; it is in no table from then on. */
static int bind_locked(int fd)
{
	struct descriptor *descriptor = table_find(fd);
	int error = descriptor && !descriptor->is_udp ? forward_bind(fd) : -EACCES;

	if (!error)
		table_forget(fd);
	return error;
}

EXPORT int bind(int fd, const struct sockaddr *to, socklen_t bytes)
{
	int error;

	if (!is_internet(to))
		return call_bind(fd, to, bytes);
	/* Nobody forwards a port to a VMM that the kernel does not hold: without one it does not start. */
	if (seal_error)
		return (int)result_of(-EACCES);
	table_lock();
	error = bind_locked(fd);
	table_unlock();
	return (int)result_of(error);
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *bytes)
{
	struct sockaddr_in told;

	if (!forward_is_listener(fd))
		return call_getsockname(fd, address, bytes);
	forward_name(&told);
	tell(address, bytes, &told);
	return 0;
}

EXPORT int accept(int fd, struct sockaddr *from, socklen_t *bytes)
{
	struct sockaddr_in told;
	int accepted;

	if (!forward_is_listener(fd))
		return call_accept(fd, from, bytes, 0);
	accepted = forward_accept(fd, &told);
	if (accepted >= 0 && from && bytes)
		tell(from, bytes, &told);
	return (int)result_of(accepted);
}

static bool is_from_libslirp(const void *caller)
{
	Dl_info object;

	return dladdr(caller, &object) != 0 && object.dli_fname && strstr(object.dli_fname, "libslirp");
}

EXPORT int listen(int fd, int backlog)
{
	int result;

	if (!forward_is_listener(fd))
		return call_listen(fd, backlog);
	result = call_listen(fd, FORWARD_BACKLOG);
	if (result == 0)
		(void)channel_start(seal_error == 0 && is_from_libslirp(__builtin_return_address(0)));
	return result;
}

/*
 * libslirp asks a file which server its own resolver stands for, and drops what a guest asks that when no IPv4 one is named or the file is out
 * of reach. Whom it names does not matter here: the egress answers all of it.
 */
static FILE *resolvers(void)
{
	static char text[] = "nameserver 127.0.0.1\n";

	return fmemopen(text, sizeof(text) - 1, "r");
}

static bool names_resolvers(const char *path)
{
	return enabled && strcmp(path, "/etc/resolv.conf") == 0;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	/* The cast, here and below: dlsym() has one type for everything it finds. */
	FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");

	if (names_resolvers(path))
		return resolvers();
	return next ? next(path, mode) : NULL;
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	FILE *(*next)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen64");

	if (names_resolvers(path))
		return resolvers();
	return next ? next(path, mode) : NULL;
}

static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= DESCRIPTORS_WANTED)
		return;
	files.rlim_cur = files.rlim_max < DESCRIPTORS_WANTED ? files.rlim_max : DESCRIPTORS_WANTED;
	setrlimit(RLIMIT_NOFILE, &files);
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv(GATE_ENV_SOCKET);

	next_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
	if (!path)
		return;
	/* Programs QEMU might start are not VMMs. A path that is none refuses everything: nobody can be dialled. */
	unsetenv("LD_PRELOAD");
	(void)channel_init(path);
	(void)forward_init(getenv(GATE_ENV_FORWARD));
	raise_limit();
	/* Where the kernel has no such filter nothing leaves by a hook either: each refuses what is not a stand-in. */
	seal_error = seal_process();
	enabled = true;
}
