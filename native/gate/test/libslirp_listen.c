/* A library whose file has libslirp in its name, as the gate wants of who listens. Its call must not be the last thing it does. */
#include <sys/socket.h>

int libslirp_listen(int fd);

int libslirp_listen(int fd)
{
	volatile int result = listen(fd, 1);

	return result;
}
