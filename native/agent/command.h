/* What a request says of the program it wants: arguments, user, environment, folder, deadline. */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include <stdint.h>

#include "config.h"
#include "fields.h"
#include "user.h"

struct command {
	char **args;
	struct env env; /* settled */
	char *cwd;
	int64_t deadline_ms; /* from now; 0 for none */
	struct user *user; /* whom it runs as; NULL for the agent's own */
};

/* Defaults are the configuration's and the owner's. 0, or as the readers of fields; free it in any case. */
int command_read(const struct config *config, struct json request, struct command *command, struct problem *problem);

void command_free(struct command *command);

/* The default environment of programs, to be settled. 0 or -ENOMEM. */
int command_default_env(const struct config *config, struct env *env);

#endif
