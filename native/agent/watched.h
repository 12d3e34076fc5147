/*
 * The folders that an inotify descriptor watches: which path each watch stands for. Paths begin below the folder that was asked for, whose own
 * is empty.
 */
#ifndef AGENT_WATCHED_H
#define AGENT_WATCHED_H

#include <stddef.h>
#include <stdint.h>

/* Of one client; the kernel's own limit is for all of a user. */
#define MAX_WATCHED 4096

struct watched {
	int fd;
	int count;
	/* By the number of the watch, with gaps: the kernel does not use one again. */
	struct watched_folder {
		int watch;
		char *path;
	} folders[MAX_WATCHED];
};

/* Watches the folder at `at`, which is known as `path`. 0, also if it was watched already; -ENOSPC for too many; -errno. */
int watched_add(struct watched *watched, const char *at, const char *path, uint32_t events);

/* The path of a watch, or NULL for one that is not known. */
const char *watched_path(const struct watched *watched, int watch);

/* The kernel has let go of it. */
void watched_gone(struct watched *watched, int watch);

/* Lets go of the folder of that path and of all below it. */
void watched_drop(struct watched *watched, const char *path);

#endif
