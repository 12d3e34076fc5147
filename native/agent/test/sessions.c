/*
 * Moments that a client cannot bring about from outside: a message between the agent and an errand that the kernel has no room for, an errand
 * that always has more to say, and a connection to a port that meets itself. The calls in question are wrapped (ld's --wrap); the client is
 * one end of a socket pair.
 *
 * Last, programs that are held, in a folder that looks like cgroups.
 *
 *   sessions
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "dial.h"
#include "errand.h"
#include "file_read.h"
#include "freeze.h"
#include "group.h"

int __real_message_send(int fd, enum frame_kind kind, const char *payload, size_t length);
int __wrap_message_send(int fd, enum frame_kind kind, const char *payload, size_t length);
int __real_connect(int fd, const struct sockaddr *name, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length);

static pid_t agent;
static int sends_until_error = -1; /* of the agent's; below 0 for ever */

int __wrap_message_send(int fd, enum frame_kind kind, const char *payload, size_t length)
{
	if (getpid() == agent && sends_until_error >= 0 && sends_until_error-- == 0)
		return -ENOBUFS;
	return __real_message_send(fd, kind, payload, length);
}

/* From the very port, as the kernel chooses one now and then where nobody listens. */
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length)
{
	assert(bind(fd, name, length) == 0);
	return __real_connect(fd, name, length);
}

/* The piece that could not be passed on is missed, and the file is not what is left of the others. */
static void write_that_loses(int piece)
{
	char path[] = "/tmp/bough-sessions-XXXXXX/file", answer[1024];
	const struct file_request request = { .path = path, .mode = -1 };
	struct session *session;
	int client_fd;

	*strrchr(path, '/') = 0;
	assert(mkdtemp(path) != NULL);
	path[strlen(path)] = '/';
	session = open_session(&client_fd);
	assert(errand_start(session, &request, file_write, true) == 0);
	add_frame(session, FRAME_FILE, "first", 5);
	add_frame(session, FRAME_FILE, "second", 6);
	add_frame(session, FRAME_FILE, "", 0);
	sends_until_error = piece;
	session->work->input(session->work);
	sends_until_error = -1;
	await_end(client_fd, answer, sizeof answer);
	assert(strstr(answer, "file_failed") != NULL);
	close_session(session, client_fd);
	for (int i = 0; i < 20; i++)
		errands_sweep();
	assert(access(path, F_OK) != 0);
	*strrchr(path, '/') = 0;
	while (rmdir(path) != 0 && errno == ENOTEMPTY)
		loop_turn(); /* it takes back what it had begun */
}

static int says_a_lot(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	int error = 0;

	(void)request; /* whatever it is */
	for (int i = 0; i < 1000 && error == 0; i++)
		error = exchange_send(exchange, FRAME_FILE, "x", 1);
	text_put(answer, "{}");
	return error;
}

/* However much there is, others have their turn after one message. */
static void errand_that_says_a_lot(void)
{
	const struct file_request request = { .path = "/" };
	char frames[4096];
	int client_fd;
	struct session *session = open_session(&client_fd);

	assert(errand_start(session, &request, says_a_lot, false) == 0);
	for (int turns = 0; turns < 100; turns++) {
		ssize_t count;

		if (turns == 0)
			usleep(100000); /* for it to have said a lot */
		loop_turn();
		count = recv(client_fd, frames, sizeof frames, 0);
		assert(count <= FRAME_HEADER_BYTES + 1);
	}
	close_session(session, client_fd);
	loop_turn(); /* its end */
	errands_sweep();
}

static int unused_port(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* The casts are how the socket calls take addresses of any family. */
	assert(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	assert(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
	close(fd);
	return ntohs(name.sin_port);
}

/* A connection that met itself would give its client back what it sends, as if a server were there. */
static void dial_that_meets_itself(void)
{
	char text[32], answer[1024];
	struct json request;
	int client_fd;
	struct session *session = open_session(&client_fd);

	snprintf(text, sizeof text, "{\"port\":%d}", unused_port());
	assert(json_check(text, strlen(text), &request) == 0);
	run_dial(session, request);
	await_end(client_fd, answer, sizeof answer);
	assert(strstr(answer, "not_connected") != NULL);
	close_session(session, client_fd);
	dials_sweep();
}

static int first_of(const char *folder, const char *name)
{
	char path[64];
	FILE *file;
	int first;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "r");
	assert(file != NULL);
	first = fgetc(file);
	fclose(file);
	return first;
}

/* Whether the client is told within some turns that all stand still. No turn is taken after it: nothing would come in that. */
static int is_told_frozen(int client_fd)
{
	char frame[256] = "";
	ssize_t count = -1;

	for (int turns = 0; turns < 3 && count < 0; turns++) {
		loop_turn();
		count = recv(client_fd, frame, sizeof frame - 1, 0);
	}
	return count > FRAME_HEADER_BYTES && frame[0] == FRAME_EVENT &&
	       strstr(frame + FRAME_HEADER_BYTES, "{\"frozen\":true}") != NULL;
}

/* In a folder as the kernel's cgroups have it: they stand still as long as anybody holds them, and whoever waits is told when all do. */
static void programs_that_are_held(void)
{
	char folder[] = "/tmp/bough-groups-XXXXXX";
	const struct json nothing = { "{}", "{}" + 2 };
	struct session *first, *second;
	int first_fd, second_fd;

	assert(mkdtemp(folder) != NULL);
	write_file(folder, "cgroup.freeze", "1");
	write_file(folder, "cgroup.events", "populated 1\nfrozen 0\n");
	groups_open(folder);
	assert(first_of(folder, "cgroup.freeze") == '0');
	first = open_session(&first_fd);
	second = open_session(&second_fd);
	run_freeze(first, nothing);
	assert(first_of(folder, "cgroup.freeze") == '1' && !is_told_frozen(first_fd));
	write_file(folder, "cgroup.events", "populated 1\nfrozen 1\n");
	assert(is_told_frozen(first_fd));
	run_freeze(second, nothing);
	assert(is_told_frozen(second_fd));
	close_session(first, first_fd);
	assert(first_of(folder, "cgroup.freeze") == '1');
	close_session(second, second_fd);
	assert(first_of(folder, "cgroup.freeze") == '0');
	assert(chdir(folder) == 0 && unlink("cgroup.freeze") == 0 && unlink("cgroup.events") == 0 && rmdir(folder) == 0);
}

int main(void)
{
	agent = getpid();
	alarm(60); /* a turn in which nothing comes would last for ever */
	assert(loop_open() == 0);
	errands_open("/");
	for (int piece = 0; piece < 3; piece++)
		write_that_loses(piece);
	errand_that_says_a_lot();
	dial_that_meets_itself();
	programs_that_are_held();
	printf("sessions: no piece lost, nobody starved, nothing met itself\n");
	return 0;
}
