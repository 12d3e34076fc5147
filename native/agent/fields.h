/*
 * Reading the fields of a request. Each returns 0; -EINVAL with *problem a sentence that names the field, when it is missing or wrong;
 * or -ENOMEM. A field that may be left out and is, or is null, leaves the result as it was.
 */
#ifndef AGENT_FIELDS_H
#define AGENT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "json.h"

struct problem {
	char text[160];
};

/* A string without NUL, allocated. */
int field_text(struct json request, const char *name, char **text, struct problem *problem);
int field_required_text(struct json request, const char *name, char **text, struct problem *problem);

/* An array of at least one string: allocated, NULL at its end; free it with fields_free_list(). */
int field_list(struct json request, const char *name, char ***list, struct problem *problem);
void fields_free_list(char **list);

/* Adds name=value of each member. */
int field_env(struct json request, const char *name, struct env *env, struct problem *problem);

/* A positive number of seconds, as milliseconds. */
int field_seconds(struct json request, const char *name, int64_t *ms, struct problem *problem);

/* A whole number between two others, which doubles hold. */
int field_whole(struct json request, const char *name, int64_t least, int64_t most, int64_t *number, struct problem *problem);

/* true or false. */
int field_flag(struct json request, const char *name, bool *flag, struct problem *problem);

int field_base64(struct json request, const char *name, size_t at_least, unsigned char **bytes, size_t *length,
		 struct problem *problem);

/* Nanoseconds since 1970 in a string of decimal digits. */
int field_nanoseconds(struct json request, const char *name, int64_t *ns, struct problem *problem);

#endif
