#define _GNU_SOURCE
#include "window.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { IDLE, ARMED, INSIDE, LEFT };

/* One window at a time in a process; the lock is held only to look at or change these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct window *current;
static int phase = IDLE;
static int body_error;
/* The file of the latest window that ended before its open(): QEMU may still come to it. Empty when there is none. */
static char missed_path[PATH_MAX];
/* Whether any path matters now: read without the lock. */
static bool watching;

bool window_expired(const struct window *window)
{
	return monotonic_ns() >= window->deadline_ns;
}

int window_on_open(const char *path)
{
	struct window *window;
	bool missed;
	int error;

	/* Every open() of the process comes by: look without the lock first. A window is armed before QEMU is told the
	 * path, so the one open that matters always sees it. */
	if (!__atomic_load_n(&watching, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&lock);
	window = phase == ARMED && strcmp(path, current->state_path) == 0 ? current : NULL;
	if (window)
		phase = INSIDE;
	missed = !window && strcmp(path, missed_path) == 0;
	pthread_mutex_unlock(&lock);
	if (missed)
		return -ETIMEDOUT;
	if (!window)
		return 0;

	window->entered_ns = monotonic_ns();
	/* A command before this one may have taken until now. */
	error = window_expired(window) ? -ETIMEDOUT : window->body(window->arg);
	window->left_ns = monotonic_ns();

	pthread_mutex_lock(&lock);
	body_error = error;
	phase = LEFT;
	pthread_mutex_unlock(&lock);
	return error;
}

static void arm_window(struct window *window)
{
	pthread_mutex_lock(&lock);
	current = window;
	body_error = 0;
	phase = ARMED;
	if (strcmp(missed_path, window->state_path) == 0)
		missed_path[0] = '\0';
	__atomic_store_n(&watching, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
}

/* Ends the window unless its body runs, and tells what phase it was in. */
static int end_window(int *error)
{
	int was;

	pthread_mutex_lock(&lock);
	was = phase;
	*error = body_error;
	if (was == ARMED)
		strcpy(missed_path, current->state_path); /* shorter than PATH_MAX: control.c refuses others */
	if (was != INSIDE) {
		phase = IDLE;
		__atomic_store_n(&watching, missed_path[0] != '\0', __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return was;
}

#define STOP "\"execute\": \"stop\""
#define CONT "\"execute\": \"cont\""

/* Runs what was begun: the save, or the stop, which is then not the last. */
static int run_begun(struct window *window, struct qmp *qmp, const char *save)
{
	const char *const others[] = {window->when_stopped, save, CONT};
	size_t failed;
	int error;

	if (!window->when_stopped)
		return qmp_finish(qmp, window->deadline_ns);
	error = qmp_finish_chain(qmp, others, sizeof(others) / sizeof(others[0]), &failed);
	window->when_stopped_failed = error && failed == 1;
	return error;
}

int window_run(struct window *window, struct qmp *qmp)
{
	char save[PATH_MAX + 128];
	int inside_error;
	int error;

	/* The path is the daemon's and holds nothing JSON would have to escape: control.c refuses others. */
	snprintf(save, sizeof(save),
		 "\"execute\": \"xen-save-devices-state\", \"arguments\": {\"filename\": \"%s\", \"live\": false}",
		 window->state_path);
	qmp->stopped_us = 0;
	qmp->resumed_us = 0;
	window->entered_ns = 0;
	window->events_us = 0;
	window->when_stopped_failed = false;
	error = qmp_begin(qmp, window->when_stopped ? STOP : save, window->deadline_ns);
	if (!error && window->approach)
		error = window->approach(window->arg);
	if (error)
		return error;
	arm_window(window);
	window->sent_ns = monotonic_ns();
	error = run_begun(window, qmp, save);
	window->replied_ns = monotonic_ns();
	if (qmp->stopped_us && qmp->resumed_us > qmp->stopped_us)
		window->events_us = qmp->resumed_us - qmp->stopped_us;
	while (end_window(&inside_error) == INSIDE) {
		/* The body uses the caller's memory; it sees window_expired() and leaves. */
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	if (inside_error)
		return inside_error;
	if (!error && !window->entered_ns)
		return -ENOTCONN;
	return error;
}
