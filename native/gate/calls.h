/*
 * calls.h - the system calls themselves, for a library that stands in the place of libc's functions: the very calls those
 * make, so that nothing here comes back to a hook. As libc's: -1 and errno.
 */
#ifndef BOUGH_GATE_CALLS_H
#define BOUGH_GATE_CALLS_H

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Casts: each call returns what fits the narrower type of the function it stands for. */
static inline int call_socket(int domain, int type, int protocol)
{
	return (int)syscall(SYS_socket, domain, type, protocol);
}

static inline int call_connect(int fd, const struct sockaddr *to, socklen_t bytes)
{
	return (int)syscall(SYS_connect, fd, to, bytes);
}

static inline int call_bind(int fd, const struct sockaddr *to, socklen_t bytes)
{
	return (int)syscall(SYS_bind, fd, to, bytes);
}

static inline int call_listen(int fd, int backlog)
{
	return (int)syscall(SYS_listen, fd, backlog);
}

static inline int call_accept(int fd, struct sockaddr *from, socklen_t *bytes, int flags)
{
	return (int)syscall(SYS_accept4, fd, from, bytes, flags);
}

static inline int call_getsockname(int fd, struct sockaddr *address, socklen_t *bytes)
{
	return (int)syscall(SYS_getsockname, fd, address, bytes);
}

static inline int call_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static inline ssize_t call_sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to,
				  socklen_t to_bytes)
{
	return syscall(SYS_sendto, fd, data, bytes, flags, to, to_bytes);
}

static inline ssize_t call_send(int fd, const void *data, size_t bytes, int flags)
{
	return call_sendto(fd, data, bytes, flags, NULL, 0);
}

static inline ssize_t call_recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *from,
				    socklen_t *from_bytes)
{
	return syscall(SYS_recvfrom, fd, data, bytes, flags, from, from_bytes);
}

static inline ssize_t call_recv(int fd, void *data, size_t bytes, int flags)
{
	return call_recvfrom(fd, data, bytes, flags, NULL, NULL);
}

static inline ssize_t call_recvmsg(int fd, struct msghdr *message, int flags)
{
	return syscall(SYS_recvmsg, fd, message, flags);
}

#endif
