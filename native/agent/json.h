/*
 * JSON as slices of the text it was read from: a text is checked once, whole, and then values are found in it by walking.
 * So nothing is allocated for a request but the strings that are asked for, however it is nested.
 *
 * Not handled: nesting beyond JSON_MAX_DEPTH, which is refused.
 */
#ifndef AGENT_JSON_H
#define AGENT_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_MAX_DEPTH 64

/* One value's text, already checked; no space around it. */
struct json {
	const char *at;
	const char *end;
};

/* The members of an object or the entries of an array that are still to come. */
struct json_items {
	const char *at;
	const char *end;
	bool object;
};

/* Checks a text that must be one value. 0, or -EINVAL. */
int json_check(const char *text, size_t length, struct json *value);

bool json_is(struct json value, char first); /* '{', '[', '"', 't', 'f', 'n' */
bool json_is_number(struct json value);

/* The last member of that name, which is ASCII, as every reader of JSON takes the last. 0, or -ENOENT. */
int json_member(struct json object, const char *name, struct json *value);

struct json_items json_items(struct json container);
bool json_next(struct json_items *items, struct json *key, struct json *value);

/* A string's characters, allocated, with a NUL after them that `length` does not count. 0 or -ENOMEM. */
int json_string(struct json value, char **string, size_t *length);
size_t json_characters(struct json value);

double json_number(struct json value);

#endif
