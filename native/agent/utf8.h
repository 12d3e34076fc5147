/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
#ifndef AGENT_UTF8_H
#define AGENT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `at`, which is before `end`; 0 when there is no whole, valid one. */
size_t utf8_width(const unsigned char *at, const unsigned char *end);

/* Writes a character, at most four bytes; returns how many. A surrogate becomes U+FFFD. */
size_t utf8_encode(uint32_t character, char *bytes);

#endif
