/*
 * What an errand does with one file's bytes.
 *
 * read   EVENT {file, from, sized}, FILE frames, END {}. A file whose size says how many bytes it holds is sent from `from` on, as long as it
 *        was when it was opened; one of which the size says nothing (/proc, /sys, or all holes) as a whole, up to where it ends.
 * write  FILE frames, an empty one last, END {file}. The bytes go into a new file beside the old one, which takes its place at the end: who
 *        looks meanwhile finds the old or the new and never a part. Links are followed. Mode and owner stay those of the old file.
 *
 * Only files: FIFOs and devices are never opened, since that alone can wait for ever or do something.
 *
 * Not handled: ACLs, extended attributes and other names (hard links) of a file that is replaced: they stay with the old one.
 */
#ifndef AGENT_FILE_READ_H
#define AGENT_FILE_READ_H

#include <sys/stat.h>

#include "errand.h"

int file_read(const struct file_request *request, struct exchange *exchange, struct text *answer);
int file_write(const struct file_request *request, struct exchange *exchange, struct text *answer);

/* Opens a file for reading. 0, or -errno: -EISDIR and -ENXIO for what is none. */
int open_file(int folder_fd, const char *path, int flags, int *fd, struct stat *info);

/* Sends up to so many bytes, and takes them off *length. 0 at the end of the file or of the length; -errno. */
int send_file(int fd, struct exchange *exchange, int64_t *length);

/* All of it. 0 or -errno. */
int write_all(int fd, const char *bytes, size_t length);

#endif
