#include "spawner.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clone.h"

#define CHILD_STACK_BYTES (32u << 10)
/* Before the spawner is given more time than its turn. */
#define TURNS 100

/* What the child reads, until it runs its program. */
struct job {
	struct launch launch;
	struct env env;
	struct user user;
	bool has_user;
	int report_fd;
	void (*begin)(const struct launch *launch, const struct user *user, int report_fd);
	int pidfd;
	pid_t pid; /* 0 until there is a child; or -errno */
};

static struct job job;
static char **texts; /* of the job */
static sem_t asked;
static bool is_open, is_busy;
static void (*begin_first)(void);

static void begin_job(void)
{
	job.begin(&job.launch, job.has_user ? &job.user : NULL, job.report_fd);
}

static void *serve(void *unused)
{
	_Alignas(16) char stack[CHILD_STACK_BYTES];

	begin_first();
	for (;;) {
		pid_t pid;

		if (sem_wait(&asked) != 0)
			continue;
		pid = clone_shared(&(struct clone_request){ .group_fd = job.launch.group_fd, .pidfd = &job.pidfd, .pid = &job.pid },
				   stack, sizeof stack, begin_job);
		if (pid < 0)
			__atomic_store_n(&job.pid, -errno, __ATOMIC_RELEASE);
		__atomic_store_n(&is_busy, false, __ATOMIC_RELEASE);
	}
	return unused;
}

void spawner_open(void (*first)(void))
{
	pthread_t thread;

	begin_first = first;
	is_open = sem_init(&asked, 0, 0) == 0 && pthread_create(&thread, NULL, serve, NULL) == 0;
}

static void measure(char *const *list, size_t *count, size_t *bytes)
{
	for (*count += 1; *list != NULL; list++, *count += 1)
		*bytes += strlen(*list) + 1;
}

static char *put_text(char **at, const char *text)
{
	size_t length = strlen(text) + 1;
	char *put = memcpy(*at, text, length);

	*at += length;
	return put;
}

/* Behind the list's end. */
static char **put_list(char **to, char **at, char *const *list)
{
	for (; *list != NULL; list++)
		*to++ = put_text(at, *list);
	*to = NULL;
	return to + 1;
}

/* Whoever asks for the launch does not keep it. */
static bool copy(const struct launch *launch, const struct user *user)
{
	size_t count = 0, bytes = strlen(launch->cwd) + 1;
	char *at;

	measure(launch->args, &count, &bytes);
	measure(launch->env->entries, &count, &bytes);
	free(texts);
	texts = malloc(count * sizeof *texts + bytes);
	if (texts == NULL)
		return false;
	at = (char *)(texts + count); /* the texts lie behind the pointers to them */
	job.launch = *launch;
	job.launch.args = texts;
	job.env.entries = put_list(texts, &at, launch->args);
	job.env.count = launch->env->count;
	put_list(job.env.entries, &at, launch->env->entries);
	job.launch.env = &job.env;
	job.launch.cwd = put_text(&at, launch->cwd);
	job.has_user = user != NULL;
	if (user != NULL)
		job.user = *user;
	return true;
}

bool spawner_start(const struct launch *launch, const struct user *user, int report_fd, struct child *child,
		   void (*begin)(const struct launch *launch, const struct user *user, int report_fd))
{
	if (!is_open || __atomic_load_n(&is_busy, __ATOMIC_ACQUIRE) || !copy(launch, user))
		return false;
	job.report_fd = report_fd;
	job.begin = begin;
	job.pid = 0;
	job.pidfd = -1;
	is_busy = true;
	sem_post(&asked);
	/* It has the agent's priority: in its turn it runs until it stands still, and the child is there. */
	for (int turn = 0; __atomic_load_n(&job.pid, __ATOMIC_ACQUIRE) == 0; turn++)
		if (turn < TURNS)
			sched_yield();
		else
			usleep(1000);
	if (job.pid == -ENOSYS) {
		is_open = false;
		return false;
	}
	child->pid = job.pid;
	child->pidfd = job.pidfd;
	return true;
}
