/*
 * What an errand changes of names.
 *
 * mkdir   END {file}: a folder, with `parents` also what is missing above it, and then one that is there is as good
 * move    END {file}: to another name on the same file system; takes the place of what is there with `replace` alone
 * remove  END {}: a file or a link, never what a link leads to; with `recursive` a folder and all in it, up to where another file system is
 *         mounted
 */
#ifndef AGENT_FILE_CHANGE_H
#define AGENT_FILE_CHANGE_H

#include "errand.h"

int file_mkdir(const struct file_request *request, struct exchange *exchange, struct text *answer);
int file_move(const struct file_request *request, struct exchange *exchange, struct text *answer);
int file_remove(const struct file_request *request, struct exchange *exchange, struct text *answer);

#endif
