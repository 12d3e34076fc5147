#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "identity.h"

int command_default_env(const struct config *config, struct env *env)
{
	int error = env_add(env, &config->environment);

	return error == 0 ? env_add(env, identity_env()) : error;
}

static int read_folder(const struct config *config, struct json request, char **cwd, struct problem *problem)
{
	struct stat info;
	int error = field_text(request, "cwd", cwd, problem);

	if (error == 0 && (*cwd == NULL || **cwd == 0)) {
		free(*cwd);
		*cwd = strdup(config->cwd);
		error = *cwd == NULL ? -ENOMEM : 0;
	}
	if (error == 0 && (stat(*cwd, &info) != 0 || !S_ISDIR(info.st_mode))) {
		snprintf(problem->text, sizeof problem->text, "cwd \"%.100s\" is not a directory", *cwd);
		error = -EINVAL;
	}
	return error;
}

int command_read(const struct config *config, struct json request, struct command *command, struct problem *problem)
{
	int error = field_list(request, "args", &command->args, problem);

	if (error == 0)
		error = command_default_env(config, &command->env);
	if (error == 0)
		error = field_env(request, "env", &command->env, problem);
	if (error == 0)
		error = env_settle(&command->env);
	if (error == 0)
		error = field_seconds(request, "timeout_secs", &command->deadline_ms, problem);
	return error == 0 ? read_folder(config, request, &command->cwd, problem) : error;
}

void command_free(struct command *command)
{
	fields_free_list(command->args);
	env_free(&command->env);
	free(command->cwd);
}
