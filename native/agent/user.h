/*
 * Users of the image, from its own /etc/passwd and /etc/group: as a name or a number, `user` or `user:group`. A number without an entry has
 * group 0, as container tools have it.
 */
#ifndef AGENT_USER_H
#define AGENT_USER_H

/* This process becomes that user, for good. 0, or -errno: -ENOKEY when there is no such user or group. */
int user_become(const char *name);

#endif
