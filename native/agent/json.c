#include "json.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Each check_…() returns what follows the thing, or NULL when it is none. */
static const char *check_escape(const char *at, const char *end)
{
	if (at == end || *at == 0 || strchr("\"\\/bfnrtu", *at) == NULL)
		return NULL;
	if (*at != 'u')
		return at + 1;
	if (end - at < 5)
		return NULL;
	for (int i = 1; i < 5; i++)
		if (hex_digit(at[i]) < 0)
			return NULL;
	return at + 5;
}

static const char *check_string(const char *at, const char *end)
{
	if (at == end || *at != '"')
		return NULL;
	for (at++; at != NULL && at < end;) {
		unsigned char byte = (unsigned char)*at; /* a byte is looked at as a number */
		size_t width;

		if (byte == '"')
			return at + 1;
		if (byte < 0x20)
			return NULL;
		if (byte == '\\') {
			at = check_escape(at + 1, end);
			continue;
		}
		width = utf8_width((const unsigned char *)at, (const unsigned char *)end);
		if (width == 0)
			return NULL;
		at += width;
	}
	return NULL;
}

static const char *skip_digits(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at == from ? NULL : at;
}

static const char *check_number(const char *at, const char *end)
{
	if (at < end && *at == '-')
		at++;
	at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
	if (at != NULL && at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at != NULL && at < end && (*at | 0x20) == 'e') {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at;
}

static const char *check_word(const char *at, const char *end, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

static const char *check_value(const char *at, const char *end, int depth);

static const char *check_container(const char *at, const char *end, int depth)
{
	bool object = *at == '{';
	char close = object ? '}' : ']';

	if (depth == 0)
		return NULL;
	at = skip_space(at + 1, end);
	if (at < end && *at == close)
		return at + 1;
	for (;;) {
		if (object) {
			at = check_string(at, end);
			at = at == NULL ? NULL : skip_space(at, end);
			if (at == NULL || at == end || *at != ':')
				return NULL;
			at = skip_space(at + 1, end);
		}
		at = check_value(at, end, depth - 1);
		at = at == NULL ? NULL : skip_space(at, end);
		if (at == NULL || at == end)
			return NULL;
		if (*at == close)
			return at + 1;
		if (*at != ',')
			return NULL;
		at = skip_space(at + 1, end);
	}
}

static const char *check_value(const char *at, const char *end, int depth)
{
	if (at == end)
		return NULL;
	switch (*at) {
	case '{':
	case '[':
		return check_container(at, end, depth);
	case '"':
		return check_string(at, end);
	case 't':
		return check_word(at, end, "true");
	case 'f':
		return check_word(at, end, "false");
	case 'n':
		return check_word(at, end, "null");
	default:
		return check_number(at, end);
	}
}

int json_check(const char *text, size_t length, struct json *value)
{
	const char *end = text + length;
	const char *at = skip_space(text, end);
	const char *after = check_value(at, end, JSON_MAX_DEPTH);

	if (after == NULL || skip_space(after, end) != end)
		return -EINVAL;
	*value = (struct json){ at, after };
	return 0;
}

bool json_is(struct json value, char first)
{
	return *value.at == first;
}

bool json_is_number(struct json value)
{
	return *value.at == '-' || (*value.at >= '0' && *value.at <= '9');
}

/* From here on texts are checked ones: walking needs no more than to know where strings begin and end. */
static const char *skip_string(const char *at)
{
	for (at++; *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at + 1;
}

static const char *skip_value(const char *at, const char *end)
{
	int depth = 0;

	while (at < end) {
		if (*at == '"') {
			at = skip_string(at);
			if (depth == 0)
				return at;
			continue;
		}
		if (*at == '{' || *at == '[') {
			depth++;
		} else if (*at == '}' || *at == ']') {
			if (depth == 0)
				return at;
			if (--depth == 0)
				return at + 1;
		} else if (depth == 0 && (*at == ',' || *at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
			return at;
		}
		at++;
	}
	return at;
}

struct json_items json_items(struct json container)
{
	return (struct json_items){ container.at + 1, container.end - 1, *container.at == '{' };
}

bool json_next(struct json_items *items, struct json *key, struct json *value)
{
	const char *at = skip_space(items->at, items->end);

	if (at < items->end && *at == ',')
		at = skip_space(at + 1, items->end);
	if (at >= items->end)
		return false;
	if (items->object) {
		*key = (struct json){ at, skip_string(at) };
		at = skip_space(key->end, items->end);
		at = skip_space(at + 1, items->end); /* the colon */
	}
	*value = (struct json){ at, skip_value(at, items->end) };
	items->at = value->end;
	return true;
}

static uint32_t hex4(const char *at)
{
	uint32_t number = 0;

	for (int i = 0; i < 4; i++)
		number = number << 4 | (uint32_t)hex_digit(at[i]); /* checked: a digit */
	return number;
}

/* One character of a string, written as UTF-8 into `bytes`; moves *at behind it. Returns how many bytes. */
static size_t decode(const char **at, const char *end, char *bytes)
{
	static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *from = *at;
	const char *name;
	uint32_t character;

	if (*from != '\\') {
		size_t width = utf8_width((const unsigned char *)from, (const unsigned char *)end);

		memcpy(bytes, from, width);
		*at += width;
		return width;
	}
	if (from[1] != 'u') {
		name = strchr(names, from[1]);
		bytes[0] = name == NULL ? from[1] : meant[name - names];
		*at += 2;
		return 1;
	}
	character = hex4(from + 2);
	*at += 6;
	if (character >= 0xd800 && character < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
		uint32_t low = hex4(*at + 2);

		if (low >= 0xdc00 && low < 0xe000) {
			character = 0x10000 + ((character - 0xd800) << 10) + (low - 0xdc00);
			*at += 6;
		}
	}
	return utf8_encode(character, bytes);
}

static bool is_named(struct json key, const char *name)
{
	const char *at = key.at + 1, *end = key.end - 1;
	char bytes[4];

	for (; at < end; name++)
		if (*name == 0 || decode(&at, end, bytes) != 1 || bytes[0] != *name)
			return false;
	return *name == 0;
}

int json_member(struct json object, const char *name, struct json *value)
{
	struct json_items items = json_items(object);
	struct json key, each;
	int result = -ENOENT;

	while (json_next(&items, &key, &each)) {
		if (is_named(key, name)) {
			*value = each;
			result = 0;
		}
	}
	return result;
}

int json_string(struct json value, char **string, size_t *length)
{
	const char *at = value.at + 1, *end = value.end - 1;
	/* No character takes more bytes than it is written with, but for a lone surrogate: six bytes, and three suffice. */
	char *bytes = malloc((size_t)(end - at) + 4);
	size_t used = 0;

	if (bytes == NULL)
		return -ENOMEM;
	while (at < end) {
		char one[4];
		size_t width = decode(&at, end, one);

		memcpy(bytes + used, one, width);
		used += width;
	}
	bytes[used] = 0;
	*string = bytes;
	*length = used;
	return 0;
}

size_t json_characters(struct json value)
{
	const char *at = value.at + 1, *end = value.end - 1;
	size_t count = 0;
	char bytes[4];

	for (; at < end; count++)
		decode(&at, end, bytes);
	return count;
}

double json_number(struct json value)
{
	char digits[64] = "";
	size_t length = (size_t)(value.end - value.at);

	/* The text has no NUL behind it; what is longer than this is more precise than a double anyway. */
	memcpy(digits, value.at, length < sizeof digits - 1 ? length : sizeof digits - 1);
	return strtod(digits, NULL);
}
