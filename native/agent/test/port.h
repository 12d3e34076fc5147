/* The client's end of a serial port of the agent, which is a pseudo-terminal here. */
#ifndef TEST_PORT_H
#define TEST_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "frames.h"

#define SECRET "\"secret\":\"the-secret-of-this-test\""
#define PING "{\"op\":\"ping\"," SECRET "}"
#define PATIENCE_MS 20000

/* Of the frame that came last; a zero follows. */
extern char payload[2 << 20];
extern size_t payload_length;

void pause_ms(long ms);

/* Opens one of which `vport2pN` in that folder is the other end. */
int make_port(const char *folder, int number);

/* Whether so many bytes came in that time. While the agent has closed its end a read fails. */
bool get(int fd, char *to, size_t length, int patience_ms);
void put(int fd, const char *bytes, size_t length);

/* Puts a frame together: its length. */
size_t add(char *to, enum frame_kind kind, const char *bytes, size_t length);
void put_frame(int fd, enum frame_kind kind, const char *bytes, size_t length);
void put_request(int fd, const char *request);

enum frame_kind get_frame(int fd);

/* The next frame is of that kind and has that in it. */
void expect(int fd, enum frame_kind kind, const char *content);

/* Says HELLO until it is answered, and throws away what comes before that. */
void greet(int fd);

/* Ends a connection, and hears that the agent does. */
void close_port(int fd);

/* A whole connection. */
void ping(int fd);

#endif
