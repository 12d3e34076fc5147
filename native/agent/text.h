/*
 * Text that grows. What cannot grow for want of memory is marked `failed` and takes no more; who uses the text asks once.
 */
#ifndef AGENT_TEXT_H
#define AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t length;
	size_t capacity;
	bool failed;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_put(struct text *text, const char *string);

/* The largest number that JSON's readers take exactly. */
#define TEXT_MAX_NUMBER ((1ll << 53) - 1)
/* What is beyond it, on either side, is taken for it. */
void text_number(struct text *text, long long number);

/* Adds a JSON string; what is not UTF-8 in it becomes U+FFFD. */
void text_quote(struct text *text, const char *bytes, size_t length);

/* Adds bytes as a JSON string of base64. */
void text_base64(struct text *text, const char *bytes, size_t length);

/* Room for so many bytes beyond the length. False when there is none. */
bool text_reserve(struct text *text, size_t room);

/* Takes bytes away from its beginning. */
void text_drop(struct text *text, size_t length);

void text_free(struct text *text);

#endif
