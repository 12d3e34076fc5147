/* Where something is to be put or taken away: the folder it is in, open, and its name there. */
#ifndef AGENT_FILE_PLACE_H
#define AGENT_FILE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct place {
	int folder_fd;
	char name[NAME_MAX + 1];
};

/* The folder must be there, or is made with all above it. 0 or -errno: -EISDIR for what can only be a folder's own name: "/", "..". */
int place_open(const char *path, bool parents, struct place *place);

/* As place_open(), where a link at the end of the path is to be followed: *place is where that leads, be it there or not. */
int place_open_target(const char *path, bool parents, struct place *place);

/* Makes a folder and what is missing above it; one that is there is as good. 0 or -errno. */
int make_folders(const char *path, mode_t mode);

#endif
