#include "image_user.h"

#include <errno.h>

static const char *specification;

void image_user_set(const char *text)
{
	specification = text;
}

bool image_user_is_set(void)
{
	return specification != NULL && *specification != 0;
}

static int find(const char *wanted, struct user *user)
{
	struct problem problem; /* its code says it */
	int error = user_find(wanted, user, &problem);

	return error == -EINVAL ? -EUSERS : error;
}

int image_user_find(struct user *user)
{
	return find(specification, user);
}

int image_user_add_home(struct env *env)
{
	struct user user;
	int error;

	if (env_get(env, "HOME") != NULL)
		return 0;
	error = find(image_user_is_set() ? specification : "0", &user);
	if (error == -ENOMEM)
		return error;
	error = env_set(env, "HOME", error == 0 ? user.home : "/");
	return error == 0 ? env_settle(env) : error;
}
