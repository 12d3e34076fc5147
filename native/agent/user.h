/*
 * Whom a program runs as: a user of the image, looked up in its own passwd and group files each time, since programs change them.
 *
 * A user is "name" or "uid", and may bring a group, ":name" or ":gid". As elsewhere: a number need not be in the files; without a group it
 * is the user's own (0 for a user that is in no file) with those that list the user; with one it is that alone.
 *
 * Not handled: users from anywhere else (NSS, LDAP), and group files beyond MAX_USER_FILE_BYTES.
 */
#ifndef AGENT_USER_H
#define AGENT_USER_H

#include <sys/types.h>

#include "fields.h"

#define MAX_GROUPS 64
#define MAX_USER_FILE_BYTES (1u << 20)

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_GROUPS];
	size_t group_count;
	char name[65]; /* as in passwd; its number for who is not in it */
	char home[512]; /* "/" for who has none */
	char shell[256]; /* empty for who has none */
};

/* 0, -EINVAL with *problem, or -ENOMEM. */
int user_find(const char *wanted, struct user *user, struct problem *problem);

/* This process becomes that user, for good. 0, or -errno. */
int user_become(const struct user *user);

#endif
