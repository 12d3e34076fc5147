#include "leftover.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "frames.h"
#include "loop.h"

#define MAX_LEFTOVERS 1024

struct leftover {
	struct source source;
};

static unsigned leftover_count;

static void drain(struct source *source, uint32_t events)
{
	static char thrown_away[CHUNK_BYTES];
	ssize_t count = read(source->fd, thrown_away, sizeof thrown_away);

	(void)events; /* reading tells all */
	if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	source_close(source);
	leftover_count--;
	free(owner_of(source, struct leftover, source)); /* nobody else knows of it */
}

void leftover_adopt(int fd)
{
	struct leftover *leftover = leftover_count < MAX_LEFTOVERS ? calloc(1, sizeof *leftover) : NULL;

	if (leftover == NULL) {
		close(fd);
		return;
	}
	leftover->source = (struct source){ .fd = fd, .ready = drain };
	leftover_count++;
	source_watch(&leftover->source, EPOLLIN);
}
