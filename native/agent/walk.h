/*
 * A walk through a folder and what is below it: each folder before what is in it, otherwise in no order. Links are told and never followed.
 * What goes away meanwhile is left out.
 *
 * Not handled: more levels than WALK_LEVELS, which is -ELOOP, since each costs a descriptor; and paths longer than the kernel takes, which no
 * message would hold either, -ENAMETOOLONG.
 */
#ifndef AGENT_WALK_H
#define AGENT_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "text.h"

#define WALK_LEVELS 1000

struct walk {
	/* Told each thing: 0 to go on, or -errno. `path` begins below the folder that is walked through. */
	int (*found)(struct walk *walk, int folder_fd, const char *name, const struct stat *info, bool unreadable);
	struct text path; /* with a NUL at its end while something is told */
	int64_t levels;	  /* how deep to go; 1 for what is in the folder itself */
};

/* 0; -errno of the folder itself; or what `found` ended it with. Closes the descriptor. */
int walk_folder(struct walk *walk, int folder_fd);

#endif
