#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../test/check.h"

#define LINE_MAX_BYTES (4 * 1024 * 1024)

void client_connect(struct client *client, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result = -1;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	*client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .buffer = malloc(LINE_MAX_BYTES)};
	CHECK(client->fd >= 0 && client->buffer, "errno %d", errno);
	for (int i = 0; i < 5000 && result < 0; i++) {
		result = connect(client->fd, (struct sockaddr *)&address, sizeof(address));
		if (result < 0)
			usleep(1000);
	}
	CHECK(result == 0, "connect to %s: errno %d", path, errno);
}

void client_close(struct client *client)
{
	close(client->fd);
	free(client->buffer);
	client->buffer = NULL;
	client->fd = -1;
}

void client_send(struct client *client, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t sent = send(client->fd, at, length, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return; /* the next read says that the other end is gone */
		at += sent;
		length -= (size_t)sent;
	}
}

void client_sendf(struct client *client, const char *format, ...)
{
	char *line;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&line, format, args);
	va_end(args);
	CHECK(length >= 0, "no memory");
	client_send(client, line, (size_t)length);
	free(line);
}

bool client_read(struct client *client)
{
	if (client->line) {
		size_t used = strlen(client->line) + 1;
		client->length -= used;
		memmove(client->buffer, client->buffer + used, client->length);
		client->line = NULL;
	}
	for (;;) {
		char *end = memchr(client->buffer, '\n', client->length);
		if (end) {
			*end = '\0';
			client->line = client->buffer;
			return true;
		}
		CHECK(client->length < LINE_MAX_BYTES, "the line does not end");
		ssize_t got = recv(client->fd, client->buffer + client->length, LINE_MAX_BYTES - client->length, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		client->length += (size_t)got;
	}
}

bool client_is(const struct client *client, const char *word)
{
	size_t length = strlen(word);
	return client->line && strncmp(client->line, word, length) == 0 &&
	       (client->line[length] == '\t' || client->line[length] == '\0');
}

static const char *find(const struct client *client, const char *key)
{
	size_t length = strlen(key);

	for (const char *field = strchr(client->line, '\t'); field; field = strchr(field, '\t')) {
		field++;
		if (strncmp(field, key, length) == 0 && field[length] == '=')
			return field + length + 1;
	}
	return NULL;
}

uint64_t client_number(const struct client *client, const char *key)
{
	const char *value = find(client, key);

	CHECK(value, "no %s in: %s", key, client->line);
	return strtoull(value, NULL, 10);
}

char *client_text(const struct client *client, const char *key)
{
	const char *value = find(client, key);

	CHECK(value, "no %s in: %s", key, client->line);
	return strndup(value, strcspn(value, "\t"));
}
