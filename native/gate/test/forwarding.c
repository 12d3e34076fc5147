/* forwarding.c - the daemon's calls of the agent, as libslirp accepts them. */
#include "forwarding.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../protocol.h"
#include "../../test/check.h"

/* The daemon's end of a connection to the agent. */
static int daemon_connect(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(to.sun_path, getenv(GATE_ENV_FORWARD));
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "errno %d", errno);
	return fd;
}

/* tcp_connect(): whom it accepts is the source of the guest's connection. */
static int slirp_accept(int listener, in_port_t *port)
{
	struct sockaddr_storage from;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&from;
	socklen_t size = sizeof(from);
	int fd = accept(listener, (struct sockaddr *)&from, &size);

	CHECK(fd >= 0, "errno %d", errno);
	CHECK(size == sizeof(*in) && in->sin_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_LOOPBACK), "another source");
	CHECK(in->sin_port != 0, "no port");
	*port = in->sin_port;
	return fd;
}

void check_forwarding(int listener)
{
	enum { TOGETHER = 1200, ROUND = 66000 };
	static int clients[TOGETHER], accepted[TOGETHER];
	static bool is_seen[65536];
	in_port_t first, port;
	char data[8];

	for (int i = 0; i < TOGETHER; i++)
		clients[i] = daemon_connect(); /* nobody has accepted yet */
	for (int i = 0; i < TOGETHER; i++) {
		accepted[i] = slirp_accept(listener, &port);
		CHECK(!is_seen[port], "two connections of port %u", ntohs(port));
		is_seen[port] = true;
	}
	CHECK(send(clients[1], "ask", 3, 0) == 3 && recv(accepted[1], data, sizeof(data), 0) == 3, "errno %d", errno);
	shutdown(clients[1], SHUT_WR);
	CHECK(recv(accepted[1], data, sizeof(data), 0) == 0, "no end");
	CHECK(send(accepted[1], "tell", 4, 0) == 4 && recv(clients[1], data, sizeof(data), 0) == 4, "errno %d", errno);
	shutdown(accepted[1], SHUT_WR);
	CHECK(recv(clients[1], data, sizeof(data), 0) == 0, "no end");
	/* Who hangs up on what it was told resets the guest's connection. */
	CHECK(send(accepted[0], "x", 1, 0) == 1, "errno %d", errno);
	close(clients[0]);
	CHECK(recv(accepted[0], data, sizeof(data), 0) == -1 && errno == ECONNRESET, "errno %d", errno);
	for (int i = 0; i < TOGETHER; i++) {
		close(accepted[i]);
		close(clients[i]);
	}
	int open = daemon_connect(), kept = slirp_accept(listener, &first);
	for (int i = 0; i < ROUND; i++) {
		int fd = daemon_connect(), other = slirp_accept(listener, &port);
		CHECK(port != first, "the port of a connection that is open, after %d", i);
		close(other);
		close(fd);
	}
	close(kept);
	close(open);
}
