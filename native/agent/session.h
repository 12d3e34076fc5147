/*
 * One connection of a client. It carries one operation: a request, perhaps input, then output and an END frame.
 *
 *   READING --request--> RUNNING --session_end()--> FINISHING --the client closes--> gone
 *
 * Three things end it early, and they differ for what it had started (its `work`):
 *   closed    the client closed it in good order: it wants no more; the work is cancelled
 *   lost      reset: the client died, or this machine is a branch and the connection stayed with the source. The work is
 *             cancelled after LOST_GRACE_MS, unless an identify is on its way and makes it
 *   detached  identify gave this machine a new owner: connections of the old one are dead, what they started goes on
 *
 * What a client may make us hold is bounded: one request while it is read, INPUT_BYTES of input, one piece of output.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <sys/uio.h>

#include "fields.h"
#include "frames.h"
#include "json.h"
#include "loop.h"
#include "text.h"

/* Streams of 1,000 clients, and who asks something besides. */
#define MAX_SESSIONS 1200

#define INPUT_BYTES CHUNK_BYTES

struct session;
struct port;

/* What carries a session: a TCP connection (tcp.h) or a serial port (serial.h). Each does nothing once it is closed. */
struct link {
	/* Sends what can leave now of one or two parts: how many bytes, or -1 with errno. */
	ssize_t (*send)(struct session *session, const struct iovec *parts, int count);
	/* Whether the session reads or sends may have changed. */
	void (*watch)(struct session *session);
	/* The client is to see whether it was an end in good order. */
	void (*close)(struct session *session);
};

/* An operation under way. What it has no use for is NULL. */
struct work {
	/* Everything sent has left. */
	void (*sent)(struct work *work);
	/* There are bytes in session->input; without it they are thrown away. */
	void (*input)(struct work *work);
	/* The session is gone, and with it every pointer to it. */
	void (*gone)(struct work *work, bool cancelled);
};

enum phase { READING, RUNNING, FINISHING, GONE };

struct session {
	const struct link *link;
	struct source source; /* on TCP */
	struct port *port; /* on a port */
	struct timer timer;
	struct session *next;
	struct work *work;
	struct text input;
	struct text output;
	size_t sent_bytes;
	enum phase phase;
	bool lost;
};

/* Told each request; it answers with session_end() or sets session->work. */
typedef void (*request_handler)(struct session *session, struct json request);

void sessions_open(request_handler handler);

/* A session of what begins to come on that link. NULL where there are too many, or no memory. */
struct session *session_new(const struct link *link);

/* What the link tells: bytes came; bytes can leave again; the client is gone, in no good order. In good order: session_close(). */
void session_take(struct session *session, const char *bytes, size_t length);
void session_sendable(struct session *session);
void session_lost(struct session *session);

/* Detaches all but one. */
void sessions_detach(const struct session *keep);

/* Frees those that are gone; between turns of the loop. */
void sessions_sweep(void);

/* Whether there is room for what comes; whether there is still something to send, or to send to. */
bool session_reading(const struct session *session);
bool session_sending(const struct session *session);
bool session_usable(const struct session *session);

/* Sends a frame. Call it only when nothing is being sent. */
void session_send(struct session *session, enum frame_kind kind, const char *payload, size_t length);

/* Sends the last frame: a JSON object. The work, if any, must be done with the session. Takes the text. */
void session_end(struct session *session, struct text *object);
void session_fail(struct session *session, const char *code, const char *message);

/* Ends it with what a reader of fields found. */
void session_refuse(struct session *session, int error, const struct problem *problem);

/* Input was taken from session->input, or is wanted again. */
void session_input_taken(struct session *session, size_t bytes);

/* The client broke the protocol, or closed the connection. */
void session_close(struct session *session);

#endif
