#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct source listener;

static ssize_t tcp_send(struct session *session, const struct iovec *parts, int count)
{
	/* sendmsg() takes what it only reads without const. */
	const struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };

	if (count == 1)
		return send(session->source.fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
	return sendmsg(session->source.fd, &message, MSG_NOSIGNAL);
}

static void tcp_watch(struct session *session)
{
	uint32_t events = EPOLLRDHUP;

	if (session_reading(session))
		events |= EPOLLIN;
	if (session_sending(session))
		events |= EPOLLOUT;
	source_watch(&session->source, session_usable(session) ? events : 0);
}

static void tcp_close(struct session *session)
{
	/* A reset instead of FIN_WAIT: nobody is there to answer, and a dead connection must leave no timers behind. */
	const struct linger now = { .l_onoff = 1 };

	if (session->source.fd >= 0 && (session->phase != FINISHING || session->lost || session_sending(session)))
		setsockopt(session->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	source_close(&session->source);
}

const struct link tcp_link = { tcp_send, tcp_watch, tcp_close };

static bool broken(const struct session *session)
{
	int error = 0;
	socklen_t length = sizeof error;

	return getsockopt(session->source.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0;
}

static void receive(struct session *session)
{
	static char piece[INPUT_BYTES]; /* memory of its own for each would be mapped and unmapped for each */
	ssize_t count = recv(session->source.fd, piece, sizeof piece, 0);

	if (count > 0)
		session_take(session, piece, (size_t)count); /* positive */
	else if (count == 0)
		session_close(session);
	else if (errno != EAGAIN && errno != EINTR)
		session_lost(session);
}

static void ready(struct source *source, uint32_t events)
{
	struct session *session = owner_of(source, struct session, source);

	if ((events & EPOLLERR) != 0 && broken(session)) {
		session_lost(session);
		return;
	}
	if ((events & EPOLLOUT) != 0)
		session_sendable(session);
	if (session_reading(session) && (events & EPOLLIN) != 0)
		receive(session);
	else if (session_usable(session) && (events & (EPOLLRDHUP | EPOLLHUP)) != 0)
		session_close(session);
}

static void accept_one(struct source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct session *session = fd < 0 ? NULL : session_new(&tcp_link);
	int yes = 1;

	(void)events; /* only one kind is asked for */
	if (session == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	session->source = (struct source){ .fd = fd, .ready = ready };
	tcp_watch(session);
}

int tcp_listen(const char *address, int port, int *bound_port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	/* The casts are how the socket calls take addresses of any family. */
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0 ||
	    listen(fd, MAX_SESSIONS) != 0 || getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
		int error = errno != 0 ? errno : EINVAL;

		close(fd);
		return -error;
	}
	*bound_port = ntohs(name.sin_port);
	listener = (struct source){ .fd = fd, .ready = accept_one };
	source_watch(&listener, EPOLLIN);
	return 0;
}
