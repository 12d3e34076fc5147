#include "connections.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h have them, which musl's compiler does not find. */
#define NETLINK_SOCK_DIAG 4
#define SOCK_DIAG_BY_FAMILY 20
#define SOCK_DESTROY 21
#define NLM_F_REQUEST 0x1
#define NLM_F_DUMP 0x300
#define ANSWER_BYTES 32768

enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11 };
#define HAS_OTHER_END (1u << ESTABLISHED | 1u << FIN_WAIT1 | 1u << FIN_WAIT2 | 1u << CLOSE_WAIT | 1u << LAST_ACK | 1u << CLOSING)

struct header {
	uint32_t length;
	uint16_t type, flags;
	uint32_t sequence, port;
};

/* Ports and addresses in network order. */
struct ends {
	uint16_t own_port, other_port;
	uint32_t own[4], other[4];
	uint32_t interface;
	uint32_t cookie[2];
};

struct asked {
	struct header header;
	uint8_t family, protocol, extensions, padding;
	uint32_t states;
	struct ends ends;
};

struct found {
	struct header header;
	uint8_t family, state, timer, retransmits;
	struct ends ends;
};

/* Where the owner reaches the agent. */
struct owner {
	uint32_t address;
	uint16_t port;
};

static bool owner_of_fd(int fd, struct owner *owner)
{
	struct sockaddr_in name;
	socklen_t length = sizeof name;

	/* struct sockaddr is what these calls take for every family's. */
	if (getsockname(fd, (struct sockaddr *)&name, &length) != 0 || name.sin_family != AF_INET)
		return false;
	*owner = (struct owner){ name.sin_addr.s_addr, name.sin_port };
	return true;
}

/* The IPv4 address of an end, also as a socket of IPv6 has it; 0 for none. */
static uint32_t ipv4_of(uint8_t family, const uint32_t address[4])
{
	if (family == AF_INET)
		return address[0];
	return address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff) ? address[3] : 0;
}

static bool is_inherited(const struct found *found, const struct owner *owner)
{
	const struct ends *ends = &found->ends;

	return ipv4_of(found->family, ends->own) == owner->address && ends->own_port != owner->port &&
	       ipv4_of(found->family, ends->other) != owner->address;
}

static void end(int fd, const struct found *found)
{
	struct asked asked = { .header = { sizeof asked, SOCK_DESTROY, NLM_F_REQUEST, 0, 0 },
			       .family = found->family,
			       .protocol = IPPROTO_TCP,
			       .states = ~0u,
			       .ends = found->ends };

	/* Done when this returns. The answer, if any, is of no use. */
	(void)send(fd, &asked, sizeof asked, 0);
}

/* Whether more answers follow. */
static bool end_those_in(const char *answer, size_t length, int end_fd, const struct owner *owner)
{
	struct header header;

	for (size_t at = 0; at + sizeof header <= length; at += (header.length + 3u) & ~3u) {
		struct found found;

		memcpy(&header, answer + at, sizeof header);
		if (header.type != SOCK_DIAG_BY_FAMILY || header.length < sizeof found || header.length > length - at)
			return false; /* the last one, or an error */
		memcpy(&found, answer + at, sizeof found);
		if (is_inherited(&found, owner))
			end(end_fd, &found);
	}
	return true;
}

static void end_family(uint8_t family, int list_fd, int end_fd, const struct owner *owner)
{
	static char answer[ANSWER_BYTES];
	const struct asked asked = { .header = { sizeof asked, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0, 0 },
				     .family = family,
				     .protocol = IPPROTO_TCP,
				     .states = HAS_OTHER_END };
	ssize_t length;

	if (send(list_fd, &asked, sizeof asked, 0) != (ssize_t)sizeof asked)
		return;
	do
		length = recv(list_fd, answer, sizeof answer, MSG_DONTWAIT); /* the kernel has answered when send() returns */
	while (length > 0 && end_those_in(answer, (size_t)length, end_fd, owner)); /* not negative */
}

void connections_end_inherited(int agent_fd)
{
	int list_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int end_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	struct owner owner;

	if (list_fd >= 0 && end_fd >= 0 && owner_of_fd(agent_fd, &owner)) {
		end_family(AF_INET, list_fd, end_fd, &owner);
		end_family(AF_INET6, list_fd, end_fd, &owner);
	}
	if (list_fd >= 0)
		close(list_fd);
	if (end_fd >= 0)
		close(end_fd);
}
