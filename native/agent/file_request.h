/* What is asked of an errand. */
#ifndef AGENT_FILE_REQUEST_H
#define AGENT_FILE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "fields.h"
#include "json.h"

struct file_request {
	char *path; /* bytes, as the kernel takes them: not empty, no NUL */
	char *to;
	char *user; /* NULL: the image's, see image_user.h */
	int64_t from, length; /* of a file's bytes */
	int64_t last;	      /* instead of both: so many at its end; or -1 */
	int64_t mode;	      /* or -1 */
	int64_t depth;
	bool follow, parents, recursive, replace, exclusive;
};

/* 0, -EINVAL with *problem, or -ENOMEM. Free it in any case. */
int file_request_read(struct json request, struct file_request *wanted, struct problem *problem);
void file_request_free(struct file_request *wanted);

#endif
