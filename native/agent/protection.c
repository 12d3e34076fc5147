#include "protection.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static int score_fd = -1;
static char protected[16];

void protection_open(void)
{
	ssize_t length;

	score_fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	length = score_fd < 0 ? -1 : read(score_fd, protected, sizeof protected - 1);
	protected[length < 0 ? 0 : length] = 0;
}

static void set(const char *score)
{
	/* Where it fails something lives longer, or shorter when memory is out: no reason to stop. */
	if (score_fd >= 0 && pwrite(score_fd, score, strlen(score), 0) < 0)
		errno = 0;
}

void protection_drop(void)
{
	set("0");
}

void protection_take(void)
{
	set(protected);
}
