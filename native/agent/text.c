#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

bool text_reserve(struct text *text, size_t room)
{
	size_t needed = text->length + room;
	size_t capacity = text->capacity < 256 ? 256 : text->capacity;
	char *bytes;

	if (text->failed || needed <= text->capacity)
		return !text->failed;
	while (capacity < needed)
		capacity *= 2;
	bytes = realloc(text->bytes, capacity);
	if (bytes == NULL) {
		text->failed = true;
		return false;
	}
	text->bytes = bytes;
	text->capacity = capacity;
	return true;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
	if (length == 0 || !text_reserve(text, length))
		return;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

void text_put(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_number(struct text *text, long long number)
{
	char digits[24];

	number = number > TEXT_MAX_NUMBER ? TEXT_MAX_NUMBER : number < -TEXT_MAX_NUMBER ? -TEXT_MAX_NUMBER : number;
	snprintf(digits, sizeof digits, "%lld", number);
	text_put(text, digits);
}

static void quote_ascii(struct text *text, unsigned char byte)
{
	char escaped[8];

	if (byte == '"' || byte == '\\')
		snprintf(escaped, sizeof escaped, "\\%c", byte);
	else if (byte == '\n')
		snprintf(escaped, sizeof escaped, "\\n");
	else
		snprintf(escaped, sizeof escaped, "\\u%04x", byte);
	text_put(text, escaped);
}

static bool is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

void text_quote(struct text *text, const char *bytes, size_t length)
{
	const unsigned char *at = (const unsigned char *)bytes; /* bytes are looked at as numbers */
	const unsigned char *end = at + length;

	text_put(text, "\"");
	while (at < end) {
		const unsigned char *from = at;
		size_t width;

		while (at < end && is_plain(*at))
			at++;
		text_add(text, (const char *)from, (size_t)(at - from));
		if (at == end)
			break;
		width = utf8_width(at, end);
		if (width == 0)
			text_put(text, "\xef\xbf\xbd");
		else if (width == 1)
			quote_ascii(text, *at);
		else
			text_add(text, (const char *)at, width);
		at += width == 0 ? 1 : width;
	}
	text_put(text, "\"");
}

void text_base64(struct text *text, const char *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = (const unsigned char *)bytes; /* bytes are looked at as numbers */

	text_put(text, "\"");
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		unsigned bits = (unsigned)at[i] << 16 | (left > 1 ? (unsigned)at[i + 1] << 8 : 0) |
				(left > 2 ? (unsigned)at[i + 2] : 0);
		char four[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
				 left > 1 ? digits[bits >> 6 & 63] : '=', left > 2 ? digits[bits & 63] : '=' };

		text_add(text, four, sizeof four);
	}
	text_put(text, "\"");
}

void text_drop(struct text *text, size_t length)
{
	text->length -= length;
	if (text->length > 0)
		memmove(text->bytes, text->bytes + length, text->length);
}

void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}
