/*
 * listening.c - what a forwarded port of QEMU's user network takes at once. Run with libpager.so preloaded.
 *
 * Nobody accepts: whoever is connected got in by the queue alone, at its first SYN.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../test/check.h"

#define CLIENTS 64

uint64_t check_seed;
_Atomic unsigned long check_count;

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};

static int listen_at(union address *address, socklen_t size, int backlog)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM, 0);

	CHECK(fd >= 0 && bind(fd, &address->any, size) == 0, "errno %d", errno);
	CHECK(listen(fd, backlog) == 0, "errno %d", errno);
	size = sizeof(*address);
	CHECK(getsockname(fd, &address->any, &size) == 0, "errno %d", errno);
	return fd;
}

/* The queue of a listening TCP socket, as the kernel tells it. */
static unsigned backlog_of(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "errno %d", errno);
	CHECK(info.tcpi_state == TCP_LISTEN, "state %d", info.tcpi_state);
	return info.tcpi_sacked;
}

static unsigned connected_at_once(const union address *address, socklen_t size)
{
	unsigned connected = 0;

	for (int i = 0; i < CLIENTS; i++) {
		int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		CHECK(fd >= 0, "errno %d", errno);
		if (connect(fd, &address->any, size) == 0) {
			connected++;
			continue;
		}
		struct tcp_info info = {0};
		size_t room = sizeof(info);
		/* Over loopback the handshake is over before connect() returns, if the other side took the SYN. */
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){room}) == 0)
			connected += info.tcpi_state == TCP_ESTABLISHED;
	}
	return connected;
}

int main(void)
{
	union address v4 = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}}, again = v4;
	union address un = {.un = {.sun_family = AF_UNIX}}; /* autobind gives it a name */
	unsigned connected;

	listen_at(&v4, sizeof(v4.in), 1);
	connected = connected_at_once(&v4, sizeof(v4.in));
	CHECK(connected == CLIENTS, "%u of %d connected", connected, CLIENTS);
	CHECK(backlog_of(listen_at(&again, sizeof(again.in), 5)) == 5, "a backlog that somebody chose is changed");

	listen_at(&un, sizeof(sa_family_t), 1);
	connected = connected_at_once(&un, sizeof(sa_family_t) + 6);
	CHECK(connected == 2, "%u connected to a Unix socket", connected);
	CHECK(listen(-1, 1) == -1 && errno == EBADF, "errno %d", errno);
	printf("listening: %d clients at once, %lu checks\n", CLIENTS, check_count);
	return 0;
}
