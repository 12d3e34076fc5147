#include "utf8.h"

#include <stdbool.h>

static bool follows(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t utf8_width(const unsigned char *at, const unsigned char *end)
{
	size_t left = (size_t)(end - at);

	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4 || left < 2 || !follows(at[1]))
		return 0;
	if (at[0] < 0xe0)
		return 2;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || left < 3 || !follows(at[2]))
		return 0;
	if (at[0] < 0xf0)
		return 3;
	if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) || left < 4 || !follows(at[3]))
		return 0;
	return 4;
}

size_t utf8_encode(uint32_t character, char *bytes)
{
	if (character >= 0xd800 && character < 0xe000)
		character = 0xfffd;
	if (character < 0x80) {
		bytes[0] = (char)character; /* seven bits; below, eight each */
		return 1;
	}
	if (character < 0x800) {
		bytes[0] = (char)(0xc0 | character >> 6);
		bytes[1] = (char)(0x80 | (character & 0x3f));
		return 2;
	}
	if (character < 0x10000) {
		bytes[0] = (char)(0xe0 | character >> 12);
		bytes[1] = (char)(0x80 | (character >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (character & 0x3f));
		return 3;
	}
	bytes[0] = (char)(0xf0 | character >> 18);
	bytes[1] = (char)(0x80 | (character >> 12 & 0x3f));
	bytes[2] = (char)(0x80 | (character >> 6 & 0x3f));
	bytes[3] = (char)(0x80 | (character & 0x3f));
	return 4;
}
