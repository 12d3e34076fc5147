/*
 * What the tests of operations in one process share: a session whose client is the other end of a socket pair, that client, and the files
 * that they look at.
 */
#ifndef AGENT_TEST_CLIENT_H
#define AGENT_TEST_CLIENT_H

#include "session.h"

struct session *open_session(int *client_fd);
void close_session(struct session *session, int client_fd);

/* As if the client had sent it; the session's work is not told. */
void add_frame(struct session *session, enum frame_kind kind, const char *payload, size_t length);

/* Waits for the next frame with turns of the loop. Its kind; the payload, with a NUL behind it, is in `payload`, and its length if asked for. */
enum frame_kind await_frame(int client_fd, char *payload, size_t room, size_t *length);

/* Waits for END, over whatever comes before it. */
void await_end(int client_fd, char *answer, size_t room);

void write_file(const char *folder, const char *name, const char *content);

#endif
