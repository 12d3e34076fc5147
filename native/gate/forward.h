/*
 * forward.h - the port that libslirp forwards to the guest's agent, as a Unix socket: who may open its path reaches the agent.
 *
 * libslirp takes it for a socket of the internet. It asks where that listens, and gives the guest's end of a connection the
 * address of whom it accepts. So it is told the loopback, which it translates to the gateway's address, and a port that no
 * other connection has. The first is by chance: a guest that was restored still has connections of another process's, and
 * one with a number of theirs would be taken for it.
 */
#ifndef BOUGH_GATE_FORWARD_H
#define BOUGH_GATE_FORWARD_H

#include <netinet/in.h>
#include <stdbool.h>

/*
 * libslirp asks for a queue of 1. The kernel turns away who finds the queue of a Unix socket full, and a guest's agent has
 * more connections than that; as many as the kernel lets anybody ask for by default.
 */
#define FORWARD_BACKLOG 4096

/* Notes the path, NULL for none; -ENOENT, or -ENAMETOOLONG if it is not one of a Unix socket. Then nothing can be forwarded. */
int forward_init(const char *path);
/* Binds fd, a stream socket of the Unix kind, to the path. 0, or -errno; -EACCES for a second one. */
int forward_bind(int fd);
bool forward_is_listener(int fd);
/* What the listener is to be taken for. */
void forward_name(struct sockaddr_in *name);
/* A connection, and whom it is to be taken for; or -errno. */
int forward_accept(int fd, struct sockaddr_in *from);
/* Call it before fd is closed, whatever that is. */
void forward_forget(int fd);

#endif
