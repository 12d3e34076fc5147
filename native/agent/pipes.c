#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441 /* asm-generic/ioctls.h */
#endif

void pipes_close(const int *fds)
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Undoes what was done until a step failed. */
static int failed(const struct pipes *pipes, int error)
{
	pipes_close(pipes->ours);
	pipes_close(pipes->theirs);
	return -error;
}

int pipes_open(struct pipes *pipes, bool input)
{
	*pipes = (struct pipes){ { -1, -1, -1 }, { -1, -1, -1 } };
	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (i == 0 && !input) {
			pipes->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (pipes->theirs[0] < 0)
				return failed(pipes, errno);
			continue;
		}
		if (pipe2(ends, O_CLOEXEC) != 0)
			return failed(pipes, errno);
		pipes->ours[i] = ends[i == 0 ? 1 : 0];
		pipes->theirs[i] = ends[i == 0 ? 0 : 1];
		fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK);
		/* Where that is refused, a program waits more often. */
		if (i > 0)
			fcntl(pipes->ours[i], F_SETPIPE_SZ, PIPE_BYTES);
	}
	return 0;
}

int terminal_resize(int fd, unsigned columns, unsigned rows)
{
	/* The sizes were checked to fit. */
	const struct winsize size = { .ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows };

	return ioctl(fd, TIOCSWINSZ, &size) == 0 ? 0 : -errno;
}

int pipes_open_terminal(struct pipes *pipes, unsigned columns, unsigned rows)
{
	*pipes = (struct pipes){ { -1, -1, -1 }, { -1, -1, -1 } };
	pipes->ours[1] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (pipes->ours[1] < 0 || unlockpt(pipes->ours[1]) != 0 || terminal_resize(pipes->ours[1], columns, rows) != 0)
		return failed(pipes, errno);
	/* By descriptor: whatever the image has mounted over /dev/pts, it is the other side of ours. */
	pipes->theirs[0] = ioctl(pipes->ours[1], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pipes->theirs[0] < 0)
		return failed(pipes, errno);
	for (int i = 1; i < 3; i++) {
		pipes->theirs[i] = fcntl(pipes->theirs[0], F_DUPFD_CLOEXEC, 0);
		if (pipes->theirs[i] < 0)
			return failed(pipes, errno);
	}
	return 0;
}
