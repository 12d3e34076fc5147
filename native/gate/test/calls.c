/*
 * calls.c - libslirp's calls of libc, in its order, against a fake egress: what a guest would see of each.
 *
 *   calls            everything, from a process that is sealed as QEMU is
 *   calls stranger   somebody else than libslirp listens: the egress must hear that this process is not sealed
 *
 * Runs under LD_PRELOAD=libgate.so, and with the gate linked in. It starts itself again with the sockets' paths in the
 * environment, since the gate reads that before main().
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../protocol.h"
#include "../../test/check.h"
#include "fake_egress.h"
#include "forwarding.h"

#define PATIENCE_MS 10000
#define TCP_MAX 1024

int libslirp_listen(int fd);

uint64_t check_seed = 1;
_Atomic unsigned long check_count;

static struct fake_egress egress;
static char path[64];

static struct sockaddr_in at(uint32_t address, unsigned port)
{
	/* The cast: a port has 16 bits. */
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons((uint16_t)port)};
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* tcp_fconnect(): a socket that does not block, options that may fail, connect(). */
static int slirp_connect(unsigned port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in to = at(0x5db8d822, port);

	if (fd < 0)
		return -errno;
	ioctl(fd, FIONBIO, &one);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != EINPROGRESS) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

static short polled(int fd, short events, int timeout_ms)
{
	struct pollfd entry = {.fd = fd, .events = events};

	return poll(&entry, 1, timeout_ms) > 0 ? entry.revents : 0;
}

/* What libslirp does when the socket polls as writable: an empty send(). 0, or -errno. */
static int completed(int fd)
{
	short events = polled(fd, POLLOUT, PATIENCE_MS);

	CHECK(events == POLLOUT, "events %d: libslirp would look at them before it answers the guest", events);
	return send(fd, "", 0, 0) == 0 ? 0 : -errno;
}

static int connected(unsigned port)
{
	int fd = slirp_connect(port), error;

	CHECK(fd >= 0, "port %u: errno %d", port, -fd);
	error = completed(fd);
	CHECK(error == 0, "port %u: errno %d", port, -error);
	return fd;
}

/* Like soread(): the bytes, 0 for an end, or -errno. */
static ssize_t read_some(int fd, void *data, size_t bytes)
{
	CHECK(polled(fd, POLLIN, PATIENCE_MS) & (POLLIN | POLLHUP), "nothing to read");
	ssize_t got = recv(fd, data, bytes, 0);
	return got < 0 ? -errno : got;
}

static void expect_bytes(int fd, const char *wanted)
{
	char data[64];
	size_t have = 0;

	while (have < strlen(wanted)) {
		ssize_t got = read_some(fd, data + have, strlen(wanted) - have);
		CHECK(got > 0, "%zd in place of \"%s\"", got, wanted);
		have += (size_t)got;
	}
	CHECK(memcmp(data, wanted, have) == 0, "%.*s", (int)have, data);
}

static void check_streams(void)
{
	char data[16];

	int fd = connected(PORT_ECHO);
	CHECK(send(fd, "hello", 5, 0) == 5, "errno %d", errno);
	expect_bytes(fd, "hello");
	CHECK(recv(fd, data, sizeof(data), 0) == -1 && errno == EAGAIN, "errno %d", errno);
	shutdown(fd, SHUT_WR);
	CHECK(read_some(fd, data, sizeof(data)) == 0, "the end of a connection that was sent whole is no end");
	close(fd);

	fd = connected(PORT_WHOLE);
	expect_bytes(fd, "data");
	CHECK(read_some(fd, data, sizeof(data)) == 0, "the end of a connection that was sent whole is no end");
	close(fd);

	fd = connected(PORT_CUT);
	expect_bytes(fd, "data");
	CHECK(read_some(fd, data, sizeof(data)) == -ECONNRESET, "a connection that was cut looks complete");
	close(fd);

	fd = connected(PORT_CUT_AFTER);
	shutdown(fd, SHUT_WR);
	CHECK(read_some(fd, data, sizeof(data)) == -ECONNRESET, "a connection that was cut looks complete");
	close(fd);
}

static void check_refusals(void)
{
	static const unsigned ports[] = {PORT_REFUSE, PORT_VANISH, PORT_NONSENSE};

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		int fd = slirp_connect(ports[i]);
		CHECK(fd >= 0, "errno %d", -fd);
		int error = completed(fd);
		CHECK(error == -ENOTSOCK, "port %u: errno %d", ports[i], -error);
		CHECK(polled(fd, POLLIN, 0) == 0, "an event for a guest that was refused");
		close(fd);
	}
	int stalled = slirp_connect(PORT_STALL);
	CHECK(polled(stalled, POLLOUT, 50) == 0, "a connection that was not decided on is one");
	close(stalled);
}

static void check_families(void)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT_ECHO), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in to = at(INADDR_LOOPBACK, PORT_ECHO);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(socket(AF_INET6, SOCK_STREAM, 0) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(connect(fd, (struct sockaddr *)&six, sizeof(six)) == -1 && errno == ENETUNREACH, "errno %d", errno);
	CHECK(connect(fd, (struct sockaddr *)&to, 4) == -1 && errno == ENETUNREACH, "errno %d", errno);
	CHECK(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == -1 && errno == EACCES, "errno %d", errno);
	close(fd);
	CHECK(connect(egress.listen_fd, (struct sockaddr *)&to, sizeof(to)) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(close(-1) == -1 && errno == EBADF, "errno %d", errno);
}

static void send_to(int fd, uint32_t address, unsigned port, const char *text)
{
	struct sockaddr_in to = at(address, port);

	CHECK(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)strlen(text), "errno %d", errno);
}

/* sorecvfrom(): errors first, then how much there is, then the datagram and whom it is from. */
static int receive(int fd, char *data, size_t bytes, struct sockaddr_in *from)
{
	struct msghdr errors = {0};
	socklen_t size = sizeof(*from);
	int waiting;

	CHECK(polled(fd, POLLIN, PATIENCE_MS) == POLLIN, "nothing to receive");
	CHECK(recvmsg(fd, &errors, MSG_ERRQUEUE) == -1 && errno == EAGAIN, "errno %d", errno);
	CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0, "errno %d", errno);
	memset(data, 0, bytes);
	ssize_t got = recvfrom(fd, data, bytes, 0, (struct sockaddr *)from, &size);
	return got < 0 ? -errno : (int)got;
}

static void check_datagrams(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned queries = atomic_load(&egress.queries);
	struct sockaddr_in from;
	char data[64];

	for (uint32_t resolver = 0x0a000203; resolver < 0x0a000206; resolver++)
		send_to(fd, resolver, 53, "abc");
	for (uint32_t resolver = 0x0a000203; resolver < 0x0a000206; resolver++) {
		int got = receive(fd, data, sizeof(data), &from);
		CHECK(got == 3 && strcmp(data, "bcd") == 0, "%d: %s", got, data);
		CHECK(ntohl(from.sin_addr.s_addr) == resolver && from.sin_port == htons(53), "an answer of another resolver");
	}
	CHECK(recvfrom(fd, data, sizeof(data), 0, NULL, NULL) == -1 && errno == EAGAIN, "errno %d", errno);
	send_to(fd, 0x08080808, 443, "quic");
	int error = receive(fd, data, sizeof(data), &from);
	CHECK(error == -ECONNREFUSED, "%d", error);
	send_to(fd, 0x08080808, 53, "yz");
	CHECK(receive(fd, data, sizeof(data), &from) == 2 && strcmp(data, "z{") == 0, "%s", data);
	CHECK(atomic_load(&egress.queries) == queries + 4, "a datagram that is no query reached the egress");
	close(fd);
}

static void check_limits(void)
{
	static int fds[TCP_MAX];
	int more;

	for (int i = 0; i < TCP_MAX; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(fds[i] >= 0, "socket %d: errno %d", i, errno);
	}
	CHECK(slirp_connect(PORT_ECHO) == -ECONNREFUSED, "more connections than a guest may have");
	check_datagrams();
	for (int i = 0; i < TCP_MAX; i++)
		close(fds[i]);
	more = connected(PORT_ECHO);
	close(more);
}

/* An egress that dies, one that is back, and one that talks nonsense. */
static void check_restarts(void)
{
	unsigned hellos = atomic_load(&egress.hellos);
	struct sockaddr_in from;
	char data[16];
	int open = connected(PORT_ECHO), fd = socket(AF_INET, SOCK_DGRAM, 0);

	fake_egress_kill(&egress);
	for (int tries = 0; tries < 1000 && (fd = slirp_connect(PORT_ECHO)) != -ECONNREFUSED; tries++) {
		if (fd >= 0)
			close(fd);
		usleep(1000);
	}
	CHECK(fd == -ECONNREFUSED, "%d without an egress", fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int tries = 0, error = 0; error != -ECONNREFUSED; tries++) {
		CHECK(tries < 1000, "queries without an egress are not refused");
		send_to(fd, 0x08080808, 53, "abc");
		error = polled(fd, POLLIN, 1) ? receive(fd, data, sizeof(data), &from) : 0;
	}
	close(fd);
	fake_egress_start(&egress, path);
	CHECK(fake_egress_await(&egress.hellos, hellos + 1), "the gate is not back");
	CHECK(atomic_load(&egress.flags) == HELLO_SEALED, "flags %u", atomic_load(&egress.flags));
	close(connected(PORT_ECHO));
	CHECK(send(open, "x", 1, MSG_NOSIGNAL) == 1, "errno %d", errno); /* the fake's old threads live on */
	close(open);

	static const uint8_t nonsense[][12] = {{9, 1, 0, 0}, {2, 1, 0, 4}, {3, 1, 0, 1}, {4, 1, 0, 1}, {3, 2}, {3, 1, 255, 255}};
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		hellos = atomic_load(&egress.hellos);
		fake_egress_say(&egress, nonsense[i], sizeof(nonsense[i]));
		CHECK(fake_egress_await(&egress.hellos, hellos + 1), "nonsense %zu is taken", i);
	}
	close(connected(PORT_ECHO));
}

static void *many(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	char data[8] = {0};

	for (unsigned i = 0; i < 200; i++) {
		int fd = slirp_connect(PORT_ECHO);
		CHECK(fd >= 0, "errno %d", -fd);
		if (random_below(&state, 3) == 0) {
			close(fd);
			continue;
		}
		CHECK(completed(fd) == 0, "a connection failed");
		snprintf(data, sizeof(data), "%06x", (unsigned)random_below(&state, 1 << 24));
		CHECK(send(fd, data, 6, 0) == 6, "errno %d", errno);
		expect_bytes(fd, data);
		close(fd);
	}
	return NULL;
}

static void check_many(void)
{
	pthread_t threads[8];
	uint64_t seeds[8];
	int before = open_fds();

	for (unsigned i = 0; i < 8; i++) {
		seeds[i] = check_seed + i;
		pthread_create(&threads[i], NULL, many, &seeds[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (int tries = 0; open_fds() > before && tries < 5000; tries++)
		usleep(1000); /* the fake's own ends */
	CHECK(open_fds() <= before, "%d descriptors, %d before", open_fds(), before);
}

static void try_kernel(void)
{
	CHECK(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(syscall(SYS_socket, AF_INET6, SOCK_DGRAM, 0) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == EACCES, "errno %d", errno);
	CHECK(syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0) == -1 && errno == EACCES, "errno %d", errno);
}

/* As tcp_listen() does it. Returns the listener. */
static int check_seal(bool stranger)
{
	struct sockaddr_in any = at(INADDR_LOOPBACK, 0), name = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0), one = 1, status;
	socklen_t size = sizeof(name);

	try_kernel();
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0, "errno %d", errno);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0, "errno %d", errno);
	CHECK(bind(other, (struct sockaddr *)&any, sizeof(any)) == -1 && errno == EACCES, "errno %d", errno);
	close(other);
	CHECK((stranger ? listen(fd, 1) : libslirp_listen(fd)) == 0, "errno %d", errno);
	CHECK(fake_egress_await(&egress.hellos, 1), "no hello");
	CHECK(atomic_load(&egress.flags) == (stranger ? 0 : HELLO_SEALED), "flags %u", atomic_load(&egress.flags));
	CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0, "errno %d", errno);
	CHECK(size == sizeof(name) && name.sin_family == AF_INET && name.sin_addr.s_addr == any.sin_addr.s_addr, "another name");
	pid_t child = fork();
	if (child == 0) {
		try_kernel();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0, "a child: status %d", status);
	return fd;
}

static void check_resolvers(void)
{
	FILE *named = fopen64("/etc/resolv.conf", "re");
	CHECK(named && fscanf(named, "nameserver 127.0.0.1%*[\n]") == 0 && feof(named) && fclose(named) == 0, "%d", errno);
}

int main(int argc, char **argv)
{
	bool stranger = argc > 1 && strcmp(argv[1], "stranger") == 0;
	const char *socket_path = getenv(GATE_ENV_SOCKET);
	int listener;

	if (!socket_path) {
		snprintf(path, sizeof(path), "/tmp/gate-calls-%d", (int)getpid());
		setenv(GATE_ENV_SOCKET, path, 1);
		snprintf(path, sizeof(path), "/tmp/gate-agent-%d", (int)getpid());
		setenv(GATE_ENV_FORWARD, path, 1);
		execv("/proc/self/exe", argv);
		CHECK(false, "errno %d", errno);
	}
	snprintf(path, sizeof(path), "%s", socket_path);
	fake_egress_start(&egress, path);
	listener = check_seal(stranger);
	if (!stranger) {
		check_forwarding(listener);
		check_streams();
		check_refusals();
		check_families();
		check_datagrams();
		check_many();
		check_limits();
		check_resolvers();
		check_restarts();
	}
	unlink(path);
	unlink(getenv(GATE_ENV_FORWARD));
	printf("calls%s: %lu checks\n", stranger ? " stranger" : "", check_count);
	fflush(stdout);
	_Exit(0); /* threads still run: nothing to tear down politely */
}
