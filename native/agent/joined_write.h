/* Writes to a serial port: each is one to the host, which leaves the virtual machine for it. */
#ifndef AGENT_JOINED_WRITE_H
#define AGENT_JOINED_WRITE_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The kernel takes no more at once. */
#define WRITE_BYTES (32u << 10)

/* As write(), of parts from there on. Those that are not one in memory are joined. */
ssize_t joined_write(int fd, const struct iovec *parts, int count, size_t from);

#endif
