#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"

#define MAX_CONFIG_BYTES (1u << 20)

static const char *const DEFAULT_ENVIRONMENT[][2] = {
	{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
	{ "HOME", "/root" },
	{ "USER", "root" },
	{ "LOGNAME", "root" },
	{ "SHELL", "/bin/sh" },
	{ "LANG", "C.UTF-8" },
};

/* From its beginning, wherever the descriptor stands: an agent that is started again gets the same one. */
static int read_all(int fd, struct text *text)
{
	ssize_t count = 1;

	while (count > 0 && text->length < MAX_CONFIG_BYTES && text_reserve(text, 4096)) {
		count = pread(fd, text->bytes + text->length, 4096, (off_t)text->length); /* below a mebibyte */
		if (count > 0)
			text->length += (size_t)count;
	}
	return count < 0 ? -errno : count > 0 ? -EFBIG : 0;
}

static int read_text(struct json json, const char *name, const char *otherwise, char **text)
{
	struct problem ignored;
	int error = field_text(json, name, text, &ignored);

	if (error == 0 && *text == NULL)
		*text = strdup(otherwise);
	return error != 0 ? error : *text == NULL ? -ENOMEM : 0;
}

static int read_environment(struct json json, struct env *env)
{
	const size_t default_count = sizeof DEFAULT_ENVIRONMENT / sizeof *DEFAULT_ENVIRONMENT;
	struct problem ignored;
	struct json value;
	int error = 0;

	if (json_member(json, "environment", &value) == 0)
		error = field_env(json, "environment", env, &ignored);
	else
		for (size_t i = 0; error == 0 && i < default_count; i++)
			error = env_set(env, DEFAULT_ENVIRONMENT[i][0], DEFAULT_ENVIRONMENT[i][1]);
	return error == 0 ? env_settle(env) : error;
}

static int read_fields(struct json json, struct config *config)
{
	struct problem ignored;
	struct json value;
	int error = 0;

	config->port = json_member(json, "port", &value) == 0 && json_is_number(value) ? (int)json_number(value) : 10000;
	if (config->port < 0 || config->port > 65535)
		return -EINVAL;
	if (json_member(json, "interpreter", &value) == 0 && !json_is(value, 'n'))
		error = field_list(json, "interpreter", &config->interpreter, &ignored);
	if (error == 0)
		error = read_text(json, "bind", "0.0.0.0", &config->bind);
	if (error == 0)
		error = read_text(json, "cwd", "/root", &config->cwd);
	if (error == 0)
		error = read_text(json, "user", "", &config->user);
	if (error == 0)
		error = read_text(json, "hook_path", "/etc/bough/hooks/after-restore", &config->hook_path);
	if (error == 0)
		error = read_text(json, "groups_path", "/sys/fs/cgroup/bough", &config->groups_path);
	return error == 0 ? read_environment(json, &config->environment) : error;
}

int config_read(int fd, struct config *config)
{
	struct text text = { 0 };
	struct json json;
	int error = read_all(fd, &text);

	if (error == 0 && (json_check(text.bytes, text.length, &json) != 0 || !json_is(json, '{')))
		error = -EINVAL;
	if (error == 0)
		error = read_fields(json, config);
	text_free(&text);
	return error;
}
