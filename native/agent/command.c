#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "identity.h"

static bool is_folder(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Where a program begins that is told no folder. */
static const char *own_folder(const struct config *config, const struct user *user)
{
	if (user == NULL)
		return config->cwd;
	return is_folder(user->home) ? user->home : "/";
}

static int read_folder(const struct config *config, struct json request, struct command *command,
		       struct problem *problem)
{
	char **cwd = &command->cwd;
	int error = field_text(request, "cwd", cwd, problem);

	if (error == 0 && (*cwd == NULL || **cwd == 0)) {
		free(*cwd);
		*cwd = strdup(own_folder(config, command->user));
		error = *cwd == NULL ? -ENOMEM : 0;
	}
	if (error == 0 && !is_folder(*cwd)) {
		snprintf(problem->text, sizeof problem->text, "cwd \"%.100s\" is not a directory", *cwd);
		error = -EINVAL;
	}
	return error;
}

static int read_user(struct json request, struct user **user, struct problem *problem)
{
	char *wanted = NULL;
	int error = field_text(request, "user", &wanted, problem);

	if (error == 0 && wanted != NULL) {
		*user = calloc(1, sizeof **user);
		error = *user == NULL ? -ENOMEM : user_find(wanted, *user, problem);
	}
	free(wanted);
	return error;
}

/* What a login would set, before the owner's. */
static int read_env(const struct config *config, const struct user *user, struct env *env)
{
	int error = env_add(env, &config->environment);

	if (user != NULL) {
		const char *const own[][2] = { { "HOME", user->home }, { "USER", user->name }, { "LOGNAME", user->name },
					       { "SHELL", user->shell[0] == 0 ? "/bin/sh" : user->shell } };

		for (size_t i = 0; error == 0 && i < sizeof own / sizeof *own; i++)
			error = env_set(env, own[i][0], own[i][1]);
	}
	return error == 0 ? env_add(env, identity_env()) : error;
}

int command_default_env(const struct config *config, struct env *env)
{
	return read_env(config, NULL, env);
}

int command_read(const struct config *config, struct json request, struct command *command, struct problem *problem)
{
	int error = field_list(request, "args", &command->args, problem);

	if (error == 0)
		error = read_user(request, &command->user, problem);
	if (error == 0)
		error = read_env(config, command->user, &command->env);
	if (error == 0)
		error = field_env(request, "env", &command->env, problem);
	if (error == 0)
		error = env_settle(&command->env);
	if (error == 0)
		error = field_seconds(request, "timeout_secs", &command->deadline_ms, problem);
	return error == 0 ? read_folder(config, request, command, problem) : error;
}

void command_free(struct command *command)
{
	fields_free_list(command->args);
	env_free(&command->env);
	free(command->cwd);
	free(command->user);
}
