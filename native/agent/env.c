#include "env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int append(struct env *env, char *entry)
{
	if (entry == NULL)
		return -ENOMEM;
	if (env->count + 2 > env->capacity) {
		size_t capacity = env->capacity == 0 ? 32 : env->capacity * 2;
		char **entries = realloc(env->entries, capacity * sizeof *entries);

		if (entries == NULL) {
			free(entry);
			return -ENOMEM;
		}
		env->entries = entries;
		env->capacity = capacity;
	}
	env->entries[env->count++] = entry;
	return 0;
}

int env_set(struct env *env, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	char *entry = malloc(size);

	if (entry != NULL)
		snprintf(entry, size, "%s=%s", name, value);
	return append(env, entry);
}

int env_add(struct env *env, const struct env *more)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < more->count; i++)
		error = append(env, strdup(more->entries[i]));
	return error;
}

struct place {
	char *entry;
	size_t index;
};

static int by_name(const void *left, const void *right)
{
	const struct place *a = left, *b = right;
	size_t length_a = strcspn(a->entry, "="), length_b = strcspn(b->entry, "=");
	int order = memcmp(a->entry, b->entry, length_a < length_b ? length_a : length_b);

	if (order == 0 && length_a != length_b)
		order = length_a < length_b ? -1 : 1;
	return order != 0 ? order : a->index < b->index ? -1 : 1;
}

static int same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return strncmp(a, b, length + 1) == 0;
}

int env_settle(struct env *env)
{
	struct place *places = malloc((env->count + 1) * sizeof *places);
	size_t count = env->count;

	if (places == NULL || (env->entries == NULL && (env->entries = calloc(1, sizeof *env->entries)) == NULL)) {
		free(places);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){ env->entries[i], i };
	qsort(places, count, sizeof *places, by_name);
	env->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (i + 1 < count && same_name(places[i].entry, places[i + 1].entry))
			free(places[i].entry);
		else
			env->entries[env->count++] = places[i].entry;
	}
	env->entries[env->count] = NULL; /* there is room: append() keeps one place more than it needs */
	free(places);
	return 0;
}

const char *env_get(const struct env *env, const char *name)
{
	size_t length = strcspn(name, "=");

	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->entries[i], name, length) == 0 && env->entries[i][length] == '=')
			return env->entries[i] + length + 1;
	return NULL;
}

/* A member of an object that so far has `count`. */
static void quote_member(const char *entry, const char *value, size_t count, struct text *text)
{
	text_put(text, count == 0 ? "" : ",");
	text_quote(text, entry, strcspn(entry, "="));
	text_put(text, ":");
	if (value == NULL)
		text_put(text, "null");
	else
		text_quote(text, value, strlen(value));
}

void env_quote(const struct env *env, struct text *text)
{
	text_put(text, "{");
	for (size_t i = 0; i < env->count; i++)
		quote_member(env->entries[i], strchr(env->entries[i], '=') + 1, i, text);
	text_put(text, "}");
}

bool env_quote_changes(const struct env *before, const struct env *after, struct text *text)
{
	size_t count = 0;

	text_put(text, "{");
	for (size_t i = 0; i < after->count; i++) {
		const char *old = env_get(before, after->entries[i]), *now = strchr(after->entries[i], '=') + 1;

		if (old == NULL || strcmp(old, now) != 0)
			quote_member(after->entries[i], now, count++, text);
	}
	for (size_t i = 0; i < before->count; i++)
		if (env_get(after, before->entries[i]) == NULL)
			quote_member(before->entries[i], NULL, count++, text);
	text_put(text, "}");
	return count > 0;
}

void env_free(struct env *env)
{
	for (size_t i = 0; i < env->count; i++)
		free(env->entries[i]);
	free(env->entries);
	*env = (struct env){ 0 };
}
