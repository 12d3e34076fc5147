#include "fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECONDS (10.0 * 365 * 86400)

static int wrong(struct problem *problem, const char *name, const char *rule)
{
	snprintf(problem->text, sizeof problem->text, "%s %s", name, rule);
	return -EINVAL;
}

/* Whether the field is there and not null. */
static bool given(struct json request, const char *name, struct json *value)
{
	return json_member(request, name, value) == 0 && !json_is(*value, 'n');
}

/* A string without NUL. -EINVAL when it is none. */
static int plain_string(struct json value, char **text)
{
	size_t length;
	int error;

	if (!json_is(value, '"'))
		return -EINVAL;
	error = json_string(value, text, &length);
	if (error == 0 && strlen(*text) != length) {
		free(*text);
		*text = NULL;
		return -EINVAL;
	}
	return error;
}

int field_text(struct json request, const char *name, char **text, struct problem *problem)
{
	struct json value;
	int error;

	if (!given(request, name, &value))
		return 0;
	error = plain_string(value, text);
	return error == -EINVAL ? wrong(problem, name, "must be a string") : error;
}

int field_required_text(struct json request, const char *name, char **text, struct problem *problem)
{
	struct json value;

	if (!given(request, name, &value))
		return wrong(problem, name, "is missing");
	return field_text(request, name, text, problem);
}

void fields_free_list(char **list)
{
	for (char **each = list; each != NULL && *each != NULL; each++)
		free(*each);
	free(list);
}

static size_t count_items(struct json array)
{
	struct json_items items = json_items(array);
	struct json key, value;
	size_t count = 0;

	while (json_next(&items, &key, &value))
		count++;
	return count;
}

int field_list(struct json request, const char *name, char ***list, struct problem *problem)
{
	static const char rule[] = "must be an array of strings with at least one entry";
	struct json array, key, value;
	struct json_items items;
	size_t count, used = 0;
	int error = 0;

	if (!given(request, name, &array) || !json_is(array, '[') || (count = count_items(array)) == 0)
		return wrong(problem, name, rule);
	*list = calloc(count + 1, sizeof **list);
	if (*list == NULL)
		return -ENOMEM;
	items = json_items(array);
	while (error == 0 && json_next(&items, &key, &value))
		error = plain_string(value, &(*list)[used++]);
	if (error == 0)
		return 0;
	fields_free_list(*list);
	*list = NULL;
	return error == -EINVAL ? wrong(problem, name, rule) : error;
}

static int add_variable(struct json key, struct json value, struct env *env)
{
	char *name = NULL, *text = NULL;
	int error = plain_string(key, &name);

	if (error == 0 && (*name == 0 || strchr(name, '=') != NULL))
		error = -EINVAL;
	if (error == 0)
		error = plain_string(value, &text);
	if (error == 0)
		error = env_set(env, name, text);
	free(name);
	free(text);
	return error;
}

int field_env(struct json request, const char *name, struct env *env, struct problem *problem)
{
	struct json object, key, value;
	struct json_items items;
	int error = 0;

	if (!given(request, name, &object))
		return 0;
	if (!json_is(object, '{'))
		return wrong(problem, name, "must be an object");
	items = json_items(object);
	while (error == 0 && json_next(&items, &key, &value))
		error = add_variable(key, value, env);
	if (error == -EINVAL)
		return wrong(problem, name, "must have string values and names without \"=\"");
	return error;
}

int field_seconds(struct json request, const char *name, int64_t *ms, struct problem *problem)
{
	struct json value;
	double seconds;

	if (!given(request, name, &value))
		return 0;
	seconds = json_is_number(value) ? json_number(value) : 0;
	if (!(seconds > 0 && seconds <= MAX_SECONDS))
		return wrong(problem, name, "must be a positive number of seconds");
	*ms = (int64_t)(seconds * 1000) + 1; /* never earlier than asked for */
	return 0;
}

int field_whole(struct json request, const char *name, int64_t least, int64_t most, int64_t *number, struct problem *problem)
{
	struct json value;
	double given_number;

	if (!given(request, name, &value))
		return 0;
	given_number = json_is_number(value) ? json_number(value) : 0.5;
	/* Compared as doubles: only what is in range may become an integer. */
	if (!(given_number >= (double)least && given_number <= (double)most) ||
	    given_number != (double)(int64_t)given_number) {
		snprintf(problem->text, sizeof problem->text, "%s must be a whole number from %lld to %lld", name,
			 (long long)least, (long long)most); /* as %lld takes them */
		return -EINVAL;
	}
	*number = (int64_t)given_number;
	return 0;
}

int field_flag(struct json request, const char *name, bool *flag, struct problem *problem)
{
	struct json value;

	if (!given(request, name, &value))
		return 0;
	if (!json_is(value, 't') && !json_is(value, 'f'))
		return wrong(problem, name, "must be true or false");
	*flag = json_is(value, 't');
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == 0 ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits); /* below 64 */
}

/* Decodes in place. -EINVAL when it is no base64. */
static int decode_base64(char *text, size_t *length)
{
	size_t digits = strcspn(text, "=");
	size_t written = strlen(text);
	size_t used = 0;
	uint32_t bits = 0;

	if (written % 4 != 0 || written - digits > 2 || strspn(text + digits, "=") != written - digits)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit; /* not negative */
		if (i % 4 != 0)
			text[used++] = (char)(bits >> (6 - 2 * (i % 4))); /* the eight bits of that place */
	}
	*length = used;
	return 0;
}

int field_base64(struct json request, const char *name, size_t at_least, unsigned char **bytes, size_t *length,
		 struct problem *problem)
{
	char *text = NULL;
	int error = field_required_text(request, name, &text, problem);

	if (error != 0)
		return error;
	if (decode_base64(text, length) != 0) {
		free(text);
		return wrong(problem, name, "must be base64");
	}
	if (*length < at_least) {
		free(text);
		snprintf(problem->text, sizeof problem->text, "%s must have at least %zu bytes", name, at_least);
		return -EINVAL;
	}
	*bytes = (unsigned char *)text; /* decoded: bytes, no longer text */
	return 0;
}

int field_nanoseconds(struct json request, const char *name, int64_t *ns, struct problem *problem)
{
	char *text = NULL;
	size_t length;
	int error = field_required_text(request, name, &text, problem);

	if (error != 0)
		return error;
	length = strlen(text);
	/* Nineteen digits may still be more than the type holds: strtoll stops at its end, and the clock refuses that. */
	if (length == 0 || length > 19 || strspn(text, "0123456789") != length)
		error = wrong(problem, name, "must be a string of decimal digits");
	else
		*ns = strtoll(text, NULL, 10);
	free(text);
	return error;
}
