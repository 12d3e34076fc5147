/*
 * Calls that fail as if there were no memory, for the tests that have them wrapped (ld's --wrap): these say when.
 */
#ifndef AGENT_TEST_DENIED_H
#define AGENT_TEST_DENIED_H

#include <stdbool.h>
#include <stddef.h>

extern bool no_memory_to_write, no_memory_to_read, no_memory_for_folders;
extern bool no_memory_to_send;		/* once */
extern size_t no_memory_of_bytes;	/* a malloc() of that size */
extern const char *no_memory_for;	/* a text that begins with that */
extern int reallocs_until_error;	/* one fails; below 0 none */
extern const char *etc;			/* stands for /etc, in which hosts cannot be opened */

#endif
