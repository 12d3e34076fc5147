/* The image's own program that is run after a restore, for a bounded time; how it ended is part of identify's answer. */
#ifndef AGENT_HOOK_H
#define AGENT_HOOK_H

#include "env.h"
#include "session.h"

/* Runs the hook, if there is one, and then ends the session with `answer`, an object that lacks the hook's value and its brace. */
void hook_answer(struct session *session, const char *path, const struct env *env, int64_t timeout_ms,
		 struct text *answer);

#endif
