/*
 * What is known of one file, folder or whatever else lies at a path, as a JSON object:
 * {path, type, size, mode, uid, gid, modified_at_unix, etag, target?}. Names are bytes, so they are base64.
 *
 * `etag` is another one when the contents are others, as far as the file system's clock tells moments apart.
 */
#ifndef AGENT_ENTRY_H
#define AGENT_ENTRY_H

#include <stdbool.h>
#include <sys/stat.h>

#include "text.h"

struct entry {
	const char *path; /* as it is to be told */
	int folder_fd;	  /* where its name is, for the target of a link */
	const char *name;
	const struct stat *info;
	bool unreadable; /* a folder of which nobody may see what is in it */
};

void entry_describe(const struct entry *entry, struct text *text);

#endif
