/*
 * What a client sends to a kept process: STDIN frames to its standard input, as fast as it takes them, and CONTROL frames,
 * {"resize":{"cols","rows"}} or {"signal"}.
 *
 * Several clients may feed one process; what they send is passed on as it comes, so pieces of one may come between pieces of another.
 */
#ifndef AGENT_FEED_H
#define AGENT_FEED_H

#include "process.h"
#include "session.h"

struct feed {
	struct session *session;
	struct process *process;
	uint32_t left_bytes; /* of the frame that is being read */
	int error;
};

enum feed_state {
	FEED_WAITS,  /* for the client, or for the process */
	FEED_ENDED,  /* an empty STDIN frame has come */
	FEED_REFUSED, /* the process takes no input, and what came is lost */
	FEED_LOST,   /* what came is lost, though the process would have taken it; feed->error says why */
	FEED_BROKEN, /* the client broke the protocol; the session is closed, and whoever owns it was told */
	FEED_MOVES,
};

/* Passes on what has come. After FEED_ENDED, FEED_REFUSED and FEED_LOST there may be more. */
enum feed_state feed_take(struct feed *feed);

/* Ends a session whose input could not be passed on; `state` says what that means for the program. */
void feed_fail(struct session *session, int error, const char *state);

#endif
