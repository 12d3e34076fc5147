/*
 * Whom the image's programs run as: what an imported image says under USER, looked up in the guest's own /etc/passwd and /etc/group. They
 * are read here, since libc's functions would load what the image has for that.
 *
 * Looked up anew for each program: a guest may add its user after the start.
 */
#ifndef AGENT_IMAGE_USER_H
#define AGENT_IMAGE_USER_H

#include <sys/types.h>

#include "env.h"

#define MAX_USER_GROUPS 64

struct image_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_USER_GROUPS]; /* more are left out */
	size_t group_count;
	char home[256];
};

/* "name", "1000", "name:group"; empty or NULL is root. Lasts as long as the agent. */
void image_user_set(const char *specification);

int image_user_is_set(void);

/* 0; -EUSERS when there is no user or group of that name; -ENOMEM. *is_root: nothing is to be changed. */
int image_user_find(struct image_user *user, int *is_root);

/* In a child that shares our memory: system calls only. 0, or errno. The pipes in fds become the user's, for it to open again by name. */
int image_user_become(const struct image_user *user, const int *fds, int count);

/* The home of the image's user, for an environment that names none. */
int image_user_add_home(struct env *env);

#endif
