/*
 * client.h - the daemon's side of the control socket, for tests: send a line, read a line, look at its fields.
 */
#ifndef BOUGH_TEST_CLIENT_H
#define BOUGH_TEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client {
	int fd;
	size_t length;
	char *buffer;
	char *line; /* the latest line, without its newline; valid until the next read */
};

/* Connects, trying for some seconds while nobody listens. */
void client_connect(struct client *client, const char *path);
void client_close(struct client *client);
void client_send(struct client *client, const void *bytes, size_t length);
__attribute__((format(printf, 2, 3))) void client_sendf(struct client *client, const char *format, ...);
/* Reads one line into client->line; false when the other end closed. */
bool client_read(struct client *client);

/* First field of the latest line is this word. */
bool client_is(const struct client *client, const char *word);
/* The number or the text after key=; CHECKs that the field is there. */
uint64_t client_number(const struct client *client, const char *key);
char *client_text(const struct client *client, const char *key);

#endif
