#include "freeze.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "group.h"

/* A copy is identified well within this, or not used at all. */
#define LONGEST_MS 60000
/* For a program that is busy in the kernel. */
#define PATIENCE_MS 5000
#define LOOK_MS 2

struct hold {
	struct work work;
	struct session *session;
	struct timer timer;
	struct hold *next;
	int64_t patience_until_ms;
	bool frozen;
	bool sync;
};

static struct hold *holds;

static void let_go(struct hold *hold)
{
	struct hold **at = &holds;

	while (*at != hold)
		at = &(*at)->next;
	*at = hold->next;
	timer_stop(&hold->timer);
	free(hold);
	if (holds == NULL)
		groups_freeze(false);
}

static void gone(struct work *work, bool cancelled)
{
	(void)cancelled; /* in a copy it is identify that closes it: then it is time, too */
	let_go(owner_of(work, struct hold, work));
}

static void fail(struct hold *hold, const char *code, const char *message)
{
	struct session *session = hold->session;

	let_go(hold);
	session_fail(session, code, message);
}

static void tell_frozen(struct session *session)
{
	static const char event[] = "{\"frozen\":true}";

	if (session_usable(session))
		session_send(session, FRAME_EVENT, event, sizeof event - 1);
}

static void look(struct timer *timer)
{
	struct hold *hold = owner_of(timer, struct hold, timer);

	if (hold->frozen) {
		fail(hold, "deadline", "the programs were held for too long, and go on");
	} else if (groups_are_frozen()) {
		hold->frozen = true;
		if (hold->sync)
			sync(); /* nothing else is asked of a guest that waits for its capture */
		timer_start(timer, LONGEST_MS);
		tell_frozen(hold->session);
	} else if (now_ms() < hold->patience_until_ms) {
		timer_start(timer, LOOK_MS);
	} else {
		fail(hold, "not_frozen", "a program did not stand still in time");
	}
}

void run_freeze(struct session *session, struct json request)
{
	struct hold *hold = calloc(1, sizeof *hold);
	char message[80];
	struct problem problem;
	bool sync = false;
	int error = field_flag(request, "sync", &sync, &problem);

	if (error != 0) {
		free(hold);
		session_refuse(session, error, &problem);
		return;
	}
	error = hold == NULL ? -ENOMEM : groups_freeze(true);
	if (error != 0) {
		free(hold);
		snprintf(message, sizeof message, "the programs cannot be made to stand still: %s", strerror(-error));
		session_fail(session, "no_freezer", message);
		return;
	}
	*hold = (struct hold){ .work.gone = gone, .session = session, .timer.expired = look, .next = holds, .sync = sync,
			       .patience_until_ms = now_ms() + PATIENCE_MS };
	holds = hold;
	session->work = &hold->work;
	timer_start(&hold->timer, LOOK_MS);
}
