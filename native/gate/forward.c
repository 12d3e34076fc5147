#define _GNU_SOURCE
#include "forward.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

#include "calls.h"
#include "table.h"

#define PORT_FIRST 1024
#define PORTS 65536

static struct sockaddr_un address;
static int listener_fd = -1; /* set by the thread that binds it, before anybody can connect, until it is closed */

/* Ports of connections by descriptor, 0 for what is none; and which those are. The lock is for the second and for `latest`. */
static uint16_t ports[TABLE_FDS];
static bool is_taken[PORTS];
static uint16_t latest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int forward_init(const char *path)
{
	if (!path || path[0] == '\0')
		return -ENOENT;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	address.sun_family = AF_UNIX;
	strcpy(address.sun_path, path);
	/* Without chance it begins with the first, and most likely still meets none of the guest's. */
	(void)!getrandom(&latest, sizeof(latest), GRND_NONBLOCK);
	return 0;
}

int forward_bind(int fd)
{
	if (address.sun_family != AF_UNIX || listener_fd >= 0)
		return -EACCES;
	/* The cast is what the sockets API asks for. */
	if (call_bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	listener_fd = fd;
	return 0;
}

bool forward_is_listener(int fd)
{
	return fd >= 0 && fd == listener_fd;
}

void forward_name(struct sockaddr_in *name)
{
	*name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* There are fewer descriptors than ports: one is free. */
static uint16_t take_port(void)
{
	pthread_mutex_lock(&lock);
	do
		latest = latest < PORT_FIRST || latest == PORTS - 1 ? PORT_FIRST : (uint16_t)(latest + 1);
	while (is_taken[latest]);
	is_taken[latest] = true;
	uint16_t port = latest;
	pthread_mutex_unlock(&lock);
	return port;
}

int forward_accept(int fd, struct sockaddr_in *from)
{
	int accepted = call_accept(fd, NULL, NULL, SOCK_CLOEXEC);

	if (accepted < 0)
		return -errno;
	if (accepted >= TABLE_FDS) {
		call_close(accepted);
		return -EMFILE;
	}
	ports[accepted] = take_port();
	forward_name(from);
	from->sin_port = htons(ports[accepted]);
	return accepted;
}

/* Only its owner, the caller, closes a descriptor: nobody else looks at its port meanwhile. */
void forward_forget(int fd)
{
	if (forward_is_listener(fd))
		listener_fd = -1;
	if (fd < 0 || fd >= TABLE_FDS || ports[fd] == 0)
		return;
	pthread_mutex_lock(&lock);
	is_taken[ports[fd]] = false;
	pthread_mutex_unlock(&lock);
	ports[fd] = 0;
}
