#include "port.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

char payload[2 << 20];
size_t payload_length;

void pause_ms(long ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

int make_port(const char *folder, int number)
{
	struct termios raw;
	char name[64], path[96];
	int master, slave;

	cfmakeraw(memset(&raw, 0, sizeof raw));
	raw.c_cflag |= CREAD | CS8;
	assert(openpty(&master, &slave, name, &raw, NULL) == 0);
	fcntl(master, F_SETFL, O_NONBLOCK);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	snprintf(path, sizeof path, "%s/vport2p%d", folder, number);
	unlink(path);
	assert(symlink(name, path) == 0);
	close(slave);
	return master;
}

bool get(int fd, char *to, size_t length, int patience_ms)
{
	while (length > 0 && patience_ms > 0) {
		ssize_t count = read(fd, to, length);

		if (count <= 0) {
			pause_ms(1);
			patience_ms--;
			continue;
		}
		to += count;
		length -= (size_t)count; /* positive */
	}
	return length == 0;
}

void put(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		struct pollfd writable = { fd, POLLOUT, 0 };
		ssize_t count = write(fd, bytes, length);

		if (count <= 0) {
			assert(poll(&writable, 1, PATIENCE_MS) == 1);
			continue;
		}
		bytes += count;
		length -= (size_t)count; /* positive */
	}
}

size_t add(char *to, enum frame_kind kind, const char *bytes, size_t length)
{
	frame_header(to, kind, length);
	memcpy(to + FRAME_HEADER_BYTES, bytes, length);
	return FRAME_HEADER_BYTES + length;
}

void put_frame(int fd, enum frame_kind kind, const char *bytes, size_t length)
{
	static char frame[FRAME_HEADER_BYTES + CHUNK_BYTES];

	put(fd, frame, add(frame, kind, bytes, length));
}

void put_request(int fd, const char *request)
{
	put_frame(fd, FRAME_REQUEST, request, strlen(request));
}

enum frame_kind get_frame(int fd)
{
	char header[FRAME_HEADER_BYTES];

	assert(get(fd, header, sizeof header, PATIENCE_MS));
	payload_length = frame_length(header);
	assert(header[0] > 0 && header[0] <= FRAME_CLOSE && payload_length < sizeof payload);
	assert(get(fd, payload, payload_length, PATIENCE_MS));
	payload[payload_length] = 0;
	return (enum frame_kind)header[0]; /* in range */
}

void expect(int fd, enum frame_kind kind, const char *content)
{
	assert(get_frame(fd) == kind && strstr(payload, content) != NULL);
}

void greet(int fd)
{
	static unsigned number;
	char hello[FRAME_HEADER_BYTES + HELLO_BYTES + 1] = "", seen[sizeof hello] = "", words[HELLO_BYTES + 1];
	bool answered = false;

	snprintf(words, sizeof words, "hello %010u", ++number);
	add(hello, FRAME_HELLO, words, HELLO_BYTES);
	for (int tries = 0; tries < 100 && !answered; tries++) {
		put(fd, hello, sizeof hello - 1);
		while (!answered && get(fd, seen + sizeof hello - 2, 1, 300)) {
			answered = memcmp(seen, hello, sizeof hello - 1) == 0;
			memmove(seen, seen + 1, sizeof seen - 2);
		}
		if (answered)
			break;
	}
	assert(answered);
	/* The answers to more than one. */
	while (get(fd, seen, sizeof hello - 1, 5))
		assert(memcmp(seen, hello, sizeof hello - 1) == 0);
}

void close_port(int fd)
{
	put_frame(fd, FRAME_CLOSE, "", 0);
	expect(fd, FRAME_CLOSE, "");
}

void ping(int fd)
{
	put_request(fd, PING);
	expect(fd, FRAME_END, "\"pong\":true");
	close_port(fd);
}
