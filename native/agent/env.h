/* Environments: lists of NAME=VALUE, in which a later entry of a name stands for the earlier ones. */
#ifndef AGENT_ENV_H
#define AGENT_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

struct env {
	char **entries;
	size_t count;
	size_t capacity;
};

/* 0 or -ENOMEM. */
int env_set(struct env *env, const char *name, const char *value);
int env_add(struct env *env, const struct env *more);

/* Leaves one entry a name, and a NULL behind the last: what execve() takes. 0 or -ENOMEM. */
int env_settle(struct env *env);

/* The value of a name in a settled environment, or NULL. The name ends at a "=" too, so an entry stands for its own. */
const char *env_get(const struct env *env, const char *name);

/* As a JSON object. */
void env_quote(const struct env *env, struct text *text);

/* What makes `after` of `before`, both settled, as a JSON object: names that are gone have null. False if there is nothing in it. */
bool env_quote_changes(const struct env *before, const struct env *after, struct text *text);

void env_free(struct env *env);

#endif
