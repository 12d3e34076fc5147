/*
 * A child of the spawner shares this process's memory until it ends, keeps what it was given though the caller's is gone, and holds up
 * nobody but the spawner: what is to begin meanwhile is refused at once, and begins by itself (spawn.h).
 */
#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spawner.h"

#define PATIENCE_MS 60000

static volatile int seen;
static int gate[2], went_first;

static void go_first(void)
{
	went_first++;
}

/* Waits for a byte, as execve() may for a file system. */
static void held(const struct launch *launch, const struct user *user, int report_fd)
{
	char byte;
	bool same = read(gate[0], &byte, 1) == 1 && strcmp(launch->args[1], "word") == 0 && launch->args[2] == NULL &&
		    strcmp(launch->env->entries[0], "A=b") == 0 && launch->env->entries[1] == NULL &&
		    strcmp(launch->cwd, "/folder") == 0 && user->uid == 1234 && report_fd == 77;

	seen++;
	_exit(same ? 7 : 1);
}

static bool start(struct child *child)
{
	char *texts[4] = { strdup("program"), strdup("word"), strdup("A=b"), strdup("/folder") };
	char *args[] = { texts[0], texts[1], NULL }, *entries[] = { texts[2], NULL };
	struct env env = { .entries = entries, .count = 1 };
	struct user user = { .uid = 1234 };
	const struct launch launch = { .args = args, .env = &env, .cwd = texts[3], .group_fd = -1 };
	bool started = spawner_start(&launch, &user, 77, child, held);

	for (int i = 0; i < 4; i++) {
		memset(texts[i], 'x', strlen(texts[i]));
		free(texts[i]);
	}
	memset(&user, 0, sizeof user);
	memset(args, 0, sizeof args);
	return started;
}

static void let_end(const struct child *child)
{
	int signal;

	assert(write(gate[1], "x", 1) == 1);
	assert(poll(&(struct pollfd){ .fd = child->pidfd, .events = POLLIN }, 1, PATIENCE_MS) == 1);
	assert(reap(child->pid, &signal) == 7 && signal == 0);
	close(child->pidfd);
}

static void begins_a_program_while_held(void)
{
	char *args[] = { "sh", "-c", "exit 3", NULL }, *entries[] = { "PATH=/bin:/usr/bin", NULL };
	struct env env = { .entries = entries, .count = 1 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), signal;
	const struct launch launch = { .args = args, .env = &env, .cwd = "/", .passed_fd = -1, .as_root = true, .group_fd = -1,
				       .stdin_fd = null, .stdout_fd = null, .stderr_fd = null };
	struct child child;

	assert(spawn(&launch, &child) == 0);
	assert(poll(&(struct pollfd){ .fd = child.pidfd, .events = POLLIN }, 1, PATIENCE_MS) == 1);
	assert(reap(child.pid, &signal) == 3 && spawn_outcome(&child.report_fd) == 0);
	close(child.pidfd);
	close(null);
}

int main(void)
{
	struct child child, other;

	assert(pipe2(gate, O_CLOEXEC) == 0);
	assert(!start(&child));
	spawner_open(go_first);
	for (int round = 1; round <= 3; round++) {
		/* It stands still for a moment longer than the child. */
		for (int waited_ms = 0; !start(&child); waited_ms++) {
			assert(waited_ms < PATIENCE_MS);
			usleep(1000);
		}
		assert(child.pid > 0 && child.pidfd >= 0);
		assert(!start(&other));
		begins_a_program_while_held();
		assert(seen == round - 1);
		let_end(&child);
		assert(seen == round);
	}
	assert(went_first == 1);
	puts("spawner: three children in our memory, and nobody waited for them");
	return 0;
}
