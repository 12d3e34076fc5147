/*
 * Seeded fuzzer of the JSON reader: whatever the bytes, it neither reads beyond them nor finds a value outside of them; and what it takes
 * it reads back as it was written.
 *
 *   json SEED RUNS
 */
#include "json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const char *const SEEDS[] = {
	"{\"op\":\"exec\",\"args\":[\"sh\",\"-c\",\"echo \\\"x\\\"\"],\"env\":{\"A\":\"\\u00e4\\ud83d\\ude00\"},\"timeout_secs\":1.5e2}",
	"[[[[{\"a\":[null,true,false,-0.5e-3]}]]],\"\\ud800\",\"\xc3\xa4\xf0\x9f\x98\x80\"]",
	"{\"op\":\"ping\",\"op\":\"exec\",\"\\u006fp\":\"eval\"}",
};

static unsigned long long state;

static unsigned random_below(unsigned limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % limit; /* the upper bits are the good ones */
}

static void walk(struct json value, const char *from, const char *end)
{
	struct json_items items;
	struct json key, each;

	assert(value.at >= from && value.end <= end && value.at < value.end);
	if (json_is(value, '"')) {
		char *string;
		size_t length;

		assert(json_string(value, &string, &length) == 0);
		assert(length <= (size_t)(value.end - value.at) && json_characters(value) <= length);
		free(string);
	}
	if (json_is_number(value))
		json_number(value);
	if (!json_is(value, '{') && !json_is(value, '['))
		return;
	items = json_items(value);
	while (json_next(&items, &key, &each))
		walk(each, value.at, value.end);
	if (json_is(value, '{'))
		json_member(value, "op", &each);
}

/* In a block of exactly its size, so that the sanitizer sees a byte too many. */
static int check(const char *bytes, size_t length)
{
	char *copy = malloc(length);
	struct json value;
	int error;

	memcpy(copy, bytes, length);
	error = json_check(copy, length, &value);
	if (error == 0)
		walk(value, copy, copy + length);
	free(copy);
	return error;
}

static void mutate(void)
{
	static const char interesting[] = "{}[]\",:\\u0e-\xf0\xed\n";
	char bytes[512];
	const char *seed = SEEDS[random_below(sizeof SEEDS / sizeof *SEEDS)];
	size_t length = strlen(seed);

	memcpy(bytes, seed, length);
	for (unsigned i = random_below(4); i < 4; i++)
		bytes[random_below((unsigned)length)] = interesting[random_below(sizeof interesting - 1)];
	check(bytes, 1 + random_below((unsigned)length));
	check(bytes, length);
}

/* What text_quote() writes json_string() reads. */
static void round_trip(void)
{
	unsigned char bytes[64];
	struct text text = { 0 };
	struct json value;
	char *string;
	size_t length = random_below(sizeof bytes), read;

	for (size_t i = 0; i < length; i++)
		bytes[i] = (unsigned char)random_below(128); /* ASCII: nothing is replaced */
	text_quote(&text, (const char *)bytes, length);
	assert(json_check(text.bytes, text.length, &value) == 0);
	assert(json_string(value, &string, &read) == 0);
	assert(read == length && memcmp(string, bytes, length) == 0);
	free(string);
	text_free(&text);
}

static void known(void)
{
	static const char *const refused[] = { "", "{", "[1,]", "{\"a\"}", "01", "1.", "\"\n\"", "\"\\x\"", "\"\xff\"", "nul", "1 2",
					       "\"\xed\xa0\x80\"", "{\"a\":1,}", "+1", "\"\\u12\"" };
	char deep[2 * (JSON_MAX_DEPTH + 1)];
	struct json value, member;
	char *string;
	size_t length;

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		assert(json_check(refused[i], strlen(refused[i]), &value) != 0);
	for (size_t i = 0; i < sizeof SEEDS / sizeof *SEEDS; i++)
		assert(check(SEEDS[i], strlen(SEEDS[i])) == 0);
	memset(deep, '[', sizeof deep / 2);
	memset(deep + sizeof deep / 2, ']', sizeof deep / 2);
	assert(json_check(deep, sizeof deep, &value) != 0);
	assert(json_check(deep + 1, sizeof deep - 2, &value) == 0);
	assert(json_check(SEEDS[2], strlen(SEEDS[2]), &value) == 0 && json_member(value, "op", &member) == 0);
	assert(json_string(member, &string, &length) == 0 && strcmp(string, "eval") == 0);
	free(string);
}

int main(int count, char **args)
{
	int runs = count > 2 ? atoi(args[2]) : 1000;

	state = count > 1 ? strtoull(args[1], NULL, 10) : 1;
	known();
	for (int i = 0; i < runs; i++) {
		mutate();
		round_trip();
	}
	printf("json: %d texts from seed %s\n", runs, count > 1 ? args[1] : "1");
	return 0;
}
