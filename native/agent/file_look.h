/*
 * What an errand tells of what is there, without opening it.
 *
 * stat   END {file}: of a link itself, or with `follow` of what it leads to
 * list   EVENT {entries: [file, …]} for what is in a folder, `depth` levels of it, END {entries: how many}
 */
#ifndef AGENT_FILE_LOOK_H
#define AGENT_FILE_LOOK_H

#include "errand.h"

int file_stat(const struct file_request *request, struct exchange *exchange, struct text *answer);
int file_list(const struct file_request *request, struct exchange *exchange, struct text *answer);

/* END {file} of what is at the path itself. 0 or -errno. */
int answer_entry(const char *path, struct text *answer);

#endif
