/*
 * PID 1 of a guest, once it stands in the image's root.
 *
 * What is ours comes along as descriptors of the initramfs, which lies hidden under the image from then on and stays: nothing that is
 * done inside the image can keep the agent from being started again.
 */
#ifndef GUEST_INIT_H
#define GUEST_INIT_H

struct own_files {
	int agent;  /* the program */
	int config; /* what it reads at its start */
	int state;  /* the folder in which it keeps what it must remember */
	int devices; /* the kernel's, whatever the image makes of its /dev: the agent's serial ports are among them */
	int is_imported; /* the image was made elsewhere: what it has in /run and /tmp is its own */
};

/* Never returns. */
void serve_guest(const struct own_files *own);

#endif
