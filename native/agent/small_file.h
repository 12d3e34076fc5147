/* A file of the image or its kernel that is read whole. What has that name may be anything: it never keeps the agent waiting. */
#ifndef AGENT_SMALL_FILE_H
#define AGENT_SMALL_FILE_H

#include "text.h"

/* At most about `limit` bytes of it; none of what is no regular file. 0, -ENOMEM, or -errno when it cannot be opened or read. */
int small_file_read(const char *path, size_t limit, struct text *text);

#endif
