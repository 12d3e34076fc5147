/* How a program's standard streams reach the agent: three pipes, or one terminal. */
#ifndef AGENT_PIPES_H
#define AGENT_PIPES_H

#include <stdbool.h>

/* What a pipe of output holds. A program runs on into it while its output rests; see pace.h. */
#define PIPE_BYTES (128u << 10)

/* By the number of the stream; -1 where there is none. Ours do not block. */
struct pipes {
	int ours[3], theirs[3];
};

/* Each 0 or -errno. Without `input` standard input is /dev/null. A terminal is `ours[1]`, which is also written to. */
int pipes_open(struct pipes *pipes, bool input);
int pipes_open_terminal(struct pipes *pipes, unsigned columns, unsigned rows);

int terminal_resize(int fd, unsigned columns, unsigned rows);

/* One side: `ours` or `theirs`. */
void pipes_close(const int *fds);

#endif
