/* What the agent is told at its start: a JSON object in a descriptor, with a default for each member. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "env.h"

struct config {
	char *bind;
	int port;
	char **interpreter; /* NULL: the image has none */
	char *cwd;
	char *user; /* whom programs run as, see image_user.h; empty for root */
	char *hook_path;
	char *groups_path; /* folder for cgroups */
	struct env environment; /* of programs, before the owner's is added; settled */
};

/* 0, or -errno: -EINVAL for what is no configuration. */
int config_read(int fd, struct config *config);

#endif
