/*
 * Whom programs run as, and files are worked on as, when nobody says otherwise: what an imported image says under USER. Looked up anew each
 * time, since a guest may add its user after the start.
 */
#ifndef AGENT_IMAGE_USER_H
#define AGENT_IMAGE_USER_H

#include "env.h"
#include "user.h"

/* As user_find() takes it; empty or NULL is root. Lasts as long as the agent. */
void image_user_set(const char *specification);

bool image_user_is_set(void);

/* Only when it is set. 0; -EUSERS when the image has no such user or group; -ENOMEM. */
int image_user_find(struct user *user);

/* The home of the image's user, for an environment that names none. */
int image_user_add_home(struct env *env);

#endif
