/*
 * stack.h - a stack of layer files read back by the plainest means there are, to compare a capture with.
 */
#ifndef BOUGH_TEST_STACK_H
#define BOUGH_TEST_STACK_H

#include <stddef.h>
#include <stdint.h>

/* Reads the data of a layer file over what ram holds; returns its bytes of data. CHECKs the file's size. */
uint64_t stack_apply(const char *layer, uint8_t *ram, size_t ram_bytes);

/* CHECKs that the text "offset:length,..." names exactly the data of the file, page by page. */
void stack_check_runs(const char *layer, const char *runs, size_t ram_bytes);

/* CHECKs that every page of data in the layer is allowed[page]. */
void stack_check_pages(const char *layer, const uint8_t *allowed, size_t page_count);

/* CHECKs that both are equal, naming the first page that is not. */
void stack_compare(const uint8_t *got, const uint8_t *expected, size_t bytes, const char *what);

#endif
