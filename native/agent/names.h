/*
 * The names of a machine: its hostname in the kernel, which counts, and the files of the image that repeat it.
 *
 * A file of the same size is overwritten, any other replaced by rename. Where that cannot be (a full disk, a read-only root, an immutable
 * file, something mounted there), a file of our own folder is mounted over them; where that cannot be either, the guest keeps a stale
 * file and is a machine of its own all the same.
 */
#ifndef AGENT_NAMES_H
#define AGENT_NAMES_H

/* Where files to mount over others are kept. */
void names_open(int folder_fd);

/* 0, or -errno when the kernel refuses it. Of /etc/hosts only the line of the hostname is replaced. */
int names_set_hostname(const char *hostname);

void names_set_machine_id(const char *machine_id);

#endif
