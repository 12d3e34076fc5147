#define _GNU_SOURCE
#include "fake_egress.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../calls.h"
#include "../frame.h"
#include "../../test/check.h"

struct connection {
	struct fake_egress *egress;
	int fd;
};

/* Held while the control connection is used or closed: its number may be another socket's right after. */
static pthread_mutex_t control_lock = PTHREAD_MUTEX_INITIALIZER;

static bool read_whole(int fd, void *data, size_t bytes)
{
	for (size_t have = 0; have < bytes;) {
		ssize_t got = call_recv(fd, (char *)data + have, bytes - have, 0);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

static void say(int fd, const void *data, size_t bytes)
{
	for (size_t sent = 0; sent < bytes;) {
		ssize_t more = call_send(fd, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
		if (more <= 0)
			return; /* the guest has gone */
		sent += (size_t)more;
	}
}

static bool read_frame(int fd, uint8_t *buffer, struct frame *frame)
{
	uint16_t length;

	if (!read_whole(fd, buffer, FRAME_HEADER_BYTES))
		return false;
	memcpy(&length, buffer + 2, 2);
	length = (uint16_t)(length << 8 | length >> 8);
	CHECK(length <= FRAME_PAYLOAD_MAX, "a frame of %u", length);
	if (!read_whole(fd, buffer + FRAME_HEADER_BYTES, length))
		return false;
	CHECK(frame_read(buffer, FRAME_HEADER_BYTES + (size_t)length, frame) > 0, "what the gate sends is no frame");
	return true;
}

static void say_on_control(struct fake_egress *egress, const void *data, size_t bytes)
{
	pthread_mutex_lock(&control_lock);
	if (egress->control_fd >= 0)
		say(egress->control_fd, data, bytes);
	pthread_mutex_unlock(&control_lock);
}

static void set_control(struct fake_egress *egress, int fd)
{
	pthread_mutex_lock(&control_lock);
	egress->control_fd = fd;
	pthread_mutex_unlock(&control_lock);
}

/* Answers a query with its own bytes, each one more. */
static void answer(struct fake_egress *egress, int fd, const struct frame *query)
{
	uint8_t payload[FRAME_PAYLOAD_MAX], out[FRAME_BYTES_MAX];

	atomic_fetch_add(&egress->queries, 1);
	if (atomic_load(&egress->is_silent))
		return;
	memcpy(payload, query->payload, query->length);
	for (size_t i = ADDRESS_BYTES; i < query->length; i++)
		payload[i]++;
	say(fd, out, frame_write(out, FRAME_REPLY, query->seq, payload, query->length));
}

static void serve_control(struct fake_egress *egress, int fd, const struct frame *hello)
{
	uint8_t buffer[FRAME_BYTES_MAX];
	struct frame frame;

	CHECK(hello->length == 4, "a hello of %zu", hello->length);
	atomic_store(&egress->flags, hello->payload[3]);
	set_control(egress, fd);
	atomic_fetch_add(&egress->hellos, 1);
	while (read_frame(fd, buffer, &frame)) {
		CHECK(frame.type == FRAME_QUERY && frame.length >= ADDRESS_BYTES, "type %u", frame.type);
		answer(egress, fd, &frame);
	}
	pthread_mutex_lock(&control_lock);
	if (egress->control_fd == fd)
		egress->control_fd = -1;
	pthread_mutex_unlock(&control_lock);
}

static void end(struct fake_egress *egress, int fd, uint32_t seq)
{
	uint8_t out[FRAME_HEADER_BYTES];

	say_on_control(egress, out, frame_write(out, FRAME_END, seq, NULL, 0));
	shutdown(fd, SHUT_WR);
}

static void echo(int fd, bool is_silent)
{
	uint8_t data[65536];
	ssize_t got;

	while ((got = call_recv(fd, data, sizeof(data), 0)) > 0)
		if (!is_silent)
			say(fd, data, (size_t)got);
}

static void serve_connection(struct fake_egress *egress, int fd, const struct frame *connect)
{
	unsigned port = (unsigned)connect->payload[4] << 8 | connect->payload[5];
	uint8_t verdict = port == PORT_REFUSE ? VERDICT_REFUSED : port == PORT_NONSENSE ? 77 : VERDICT_ACCEPTED, rest[64];

	CHECK(connect->length == ADDRESS_BYTES, "a connect of %zu", connect->length);
	if (port == PORT_VANISH)
		return;
	if (port != PORT_STALL)
		say(fd, &verdict, 1);
	if (port == PORT_CUT || port == PORT_WHOLE)
		say(fd, "data", 4);
	if (port == PORT_CUT)
		usleep(20000); /* libslirp has completed the connection by then; see stream.c for what polls HUP before */
	if (port == PORT_WHOLE)
		end(egress, fd, connect->seq);
	if (port == PORT_ECHO || port == PORT_DNS_SPEAKER || port == PORT_CUT_AFTER)
		echo(fd, port == PORT_CUT_AFTER);
	if (port == PORT_ECHO || port == PORT_DNS_SPEAKER)
		end(egress, fd, connect->seq);
	if (port != PORT_CUT && port != PORT_CUT_AFTER)
		while (call_recv(fd, rest, sizeof(rest), 0) > 0)
			;
}

static void *serve(void *arg)
{
	struct connection *connection = arg;
	uint8_t buffer[FRAME_BYTES_MAX];
	struct frame frame;

	if (read_frame(connection->fd, buffer, &frame)) {
		if (frame.type == FRAME_HELLO)
			serve_control(connection->egress, connection->fd, &frame);
		else
			serve_connection(connection->egress, connection->fd, &frame);
	}
	call_close(connection->fd);
	free(connection);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct fake_egress *egress = arg;
	int listen_fd = egress->listen_fd;

	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			break;
		struct connection *connection = malloc(sizeof(*connection));
		CHECK(connection, "no memory");
		*connection = (struct connection){egress, fd};
		pthread_t thread;
		pthread_attr_t small;
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 256 << 10);
		CHECK(pthread_create(&thread, &small, serve, connection) == 0, "no thread");
		pthread_attr_destroy(&small);
		pthread_detach(thread);
	}
	call_close(listen_fd);
	return NULL;
}

void fake_egress_start(struct fake_egress *egress, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pthread_t thread;

	egress->path = path;
	set_control(egress, -1);
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	unlink(path);
	egress->listen_fd = call_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(egress->listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0, "errno %d", errno);
	CHECK(syscall(SYS_listen, egress->listen_fd, 4096) == 0, "errno %d", errno);
	CHECK(pthread_create(&thread, NULL, accept_all, egress) == 0, "no thread");
	pthread_detach(thread);
}

void fake_egress_kill(struct fake_egress *egress)
{
	unlink(egress->path);
	shutdown(egress->listen_fd, SHUT_RDWR);
	pthread_mutex_lock(&control_lock);
	shutdown(egress->control_fd, SHUT_RDWR); /* nothing where it is -1 */
	pthread_mutex_unlock(&control_lock);
}

void fake_egress_say(struct fake_egress *egress, const void *bytes, unsigned size)
{
	say_on_control(egress, bytes, size);
}

bool fake_egress_await(atomic_uint *count, unsigned wanted)
{
	for (int tries = 0; tries < 10000; tries++) {
		if (atomic_load(count) >= wanted)
			return true;
		usleep(1000);
	}
	return false;
}
