#define _GNU_SOURCE
#include "window.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

enum { IDLE, ARMED, OPENED, INSIDE, LEFT, CLOSED };

/* One window at a time in a process; the lock is held only to look at or change these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_inside = PTHREAD_COND_INITIALIZER;
static struct window *current;
static int phase = IDLE;
static int body_error;
/*
 * QEMU is not told the path of the device state but a name, so that the command can be sent before anybody knows the path. At no
 * such name can a file be made. Numbers tell the save that was begun last from those before, to which QEMU may still come.
 */
#define NAME "/proc/bough-"
static unsigned latest_save;
/* The descriptor whose close() matters: read without the lock, written with it. */
static int state_fd = -1;
/* Who opened it: where it was closed out of sight, its number may be another thread's by now. */
static pthread_t opener;
/* Written when the file is opened: who waits for QEMU's answer is to run the body. Made once. */
static int entered_fd = -1;

bool window_expired(const struct window *window)
{
	return monotonic_ns() >= window->deadline_ns;
}

bool window_has_named(const char *path)
{
	return path && strncmp(path, NAME, strlen(NAME)) == 0;
}

int window_on_open(const char *name, char state_path[PATH_MAX])
{
	int error = -ETIMEDOUT;

	pthread_mutex_lock(&lock);
	if (phase == ARMED && strtoul(name + strlen(NAME), NULL, 10) == latest_save) {
		phase = OPENED;
		current->entered_ns = monotonic_ns();
		strcpy(state_path, current->state_path); /* shorter than PATH_MAX: control.c refuses others */
		eventfd_write(entered_fd, 1);
		error = 0;
	}
	pthread_mutex_unlock(&lock);
	return error;
}

void window_on_opened(int fd)
{
	pthread_mutex_lock(&lock);
	/* Not if the window has ended meanwhile. */
	if (phase != IDLE) {
		opener = pthread_self();
		__atomic_store_n(&state_fd, fd, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
}

/* With the lock held, which it gives up meanwhile. */
static void run_body(void)
{
	struct window *window = current;
	int error;

	phase = INSIDE;
	pthread_mutex_unlock(&lock);
	/* A command before this one may have taken until now. */
	error = window_expired(window) ? -ETIMEDOUT : window->body(window->arg);
	pthread_mutex_lock(&lock);
	body_error = error;
	phase = LEFT;
	pthread_cond_broadcast(&not_inside);
}

/* The file is open. */
static void entered(void)
{
	eventfd_t count;

	eventfd_read(entered_fd, &count);
	pthread_mutex_lock(&lock);
	if (phase == OPENED)
		run_body();
	pthread_mutex_unlock(&lock);
}

/* Until nobody is in the body, or its deadline: what is then still under way goes on beside the running guest. */
static void wait_for_body(void)
{
	const struct timespec deadline = {.tv_sec = (time_t)(current->deadline_ns / 1000000000ull),
					  .tv_nsec = (long)(current->deadline_ns % 1000000000ull)};

	while (phase == INSIDE)
		if (pthread_cond_clockwait(&not_inside, &lock, CLOCK_MONOTONIC, &deadline) != 0)
			return;
}

void window_on_close(int fd)
{
	if (fd < 0 || fd != __atomic_load_n(&state_fd, __ATOMIC_ACQUIRE) || !pthread_equal(opener, pthread_self()))
		return;
	pthread_mutex_lock(&lock);
	__atomic_store_n(&state_fd, -1, __ATOMIC_RELEASE);
	/* The other thread has found no processor yet. */
	if (phase == OPENED)
		run_body();
	wait_for_body();
	if (phase == LEFT)
		phase = CLOSED;
	pthread_mutex_unlock(&lock);
}

static void arm_window(struct window *window)
{
	pthread_mutex_lock(&lock);
	current = window;
	body_error = 0;
	phase = ARMED;
	pthread_mutex_unlock(&lock);
}

/* Ends the window, once nobody is in its body, and tells what phase it was in. */
static int end_window(int *error)
{
	eventfd_t count;
	int was;

	pthread_mutex_lock(&lock);
	/* The body uses the caller's memory; it sees window_expired() and leaves. */
	while (phase == INSIDE)
		pthread_cond_wait(&not_inside, &lock);
	was = phase;
	*error = body_error;
	phase = IDLE;
	__atomic_store_n(&state_fd, -1, __ATOMIC_RELEASE);
	eventfd_read(entered_fd, &count);
	pthread_mutex_unlock(&lock);
	return was;
}

#define STOP "\"execute\": \"stop\""
#define CONT "\"execute\": \"cont\""
#define SAVE_BYTES 128

/* The members of the next save. */
static void next_save(char save[SAVE_BYTES])
{
	pthread_mutex_lock(&lock);
	latest_save++;
	pthread_mutex_unlock(&lock);
	snprintf(save, SAVE_BYTES, "\"execute\": \"xen-save-devices-state\", \"arguments\": {\"filename\": \"" NAME "%u\", \"live\": false}",
		 latest_save);
}

int window_begin(struct qmp *qmp, uint64_t deadline_ns)
{
	char save[SAVE_BYTES];

	next_save(save);
	return qmp_begin(qmp, save, deadline_ns);
}

/* Runs what was begun: the save, or the stop, which is then not the last. */
static int run_begun(struct window *window, struct qmp *qmp)
{
	char save[SAVE_BYTES];
	const char *const others[] = {window->when_stopped, save, CONT};
	size_t failed;
	int error;

	if (!window->when_stopped)
		return qmp_finish(qmp, window->deadline_ns);
	next_save(save);
	error = qmp_finish_chain(qmp, others, sizeof(others) / sizeof(others[0]), &failed);
	window->when_stopped_failed = error && failed == 1;
	return error;
}

/* What QEMU is to hold of the window before the approach. */
static int begin(const struct window *window, struct qmp *qmp)
{
	if (window->when_stopped)
		return qmp_begin(qmp, STOP, window->deadline_ns);
	return qmp->begun ? 0 : window_begin(qmp, window->deadline_ns);
}

int window_run(struct window *window, struct qmp *qmp)
{
	int inside_error;
	int error;
	int was;

	qmp->stopped_us = 0;
	qmp->resumed_us = 0;
	window->entered_ns = 0;
	window->events_us = 0;
	window->when_stopped_failed = false;
	if (entered_fd < 0)
		entered_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (entered_fd < 0)
		return -errno;
	error = begin(window, qmp);
	if (!error && window->approach)
		error = window->approach(window->arg);
	if (!error)
		error = qmp_nudge(qmp, window->deadline_ns);
	if (error)
		return error;
	arm_window(window);
	qmp->beside = (struct beside){.fd = entered_fd, .run = entered};
	window->sent_ns = monotonic_ns();
	error = run_begun(window, qmp);
	window->replied_ns = monotonic_ns();
	qmp->beside = (struct beside){.fd = -1};
	if (qmp->stopped_us && qmp->resumed_us > qmp->stopped_us)
		window->events_us = qmp->resumed_us - qmp->stopped_us;
	was = end_window(&inside_error);
	if (inside_error)
		return inside_error;
	if (!error && was != CLOSED)
		return was == LEFT && window_expired(window) ? -ETIMEDOUT : -ENOTCONN;
	return error;
}
