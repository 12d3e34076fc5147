#include "interpreter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spawn.h"
#include "worker.h"

#define INTERRUPT_GRACE_MS 5000
#define MAX_WAITING 128

struct job {
	struct work work;
	struct session *session; /* NULL: nobody waits for its outcome */
	struct timer deadline;
	struct job *next;
	struct text line;
};

static char *const *command;
static const struct env *base_env, *owners_env;
static struct worker worker;
static struct job *running;
static struct job *waiting;
static struct timer grace;
static const char *state = "none";
static struct env told; /* the environment that the process was started with, or has heard of since */
static bool settled, env_changed;
static bool moved;    /* this is another machine than the one the process was last told of */
static bool renewing; /* the process is on its way out, to be started again */
static bool used;	 /* code has run in the process that there is */
static char lost[128]; /* how one ended that code had run in, until an eval has been told */

const char *interpreter_state(void)
{
	return state;
}

bool interpreter_settled(void)
{
	return settled;
}

static void settle(const char *as)
{
	state = as;
	settled = true;
}

/* The caller has taken it out of wherever it was. */
static void finish(struct job *job, struct text *outcome)
{
	timer_stop(&job->deadline);
	if (job->session != NULL)
		session_end(job->session, outcome);
	else
		text_free(outcome);
	text_free(&job->line);
	free(job);
}

static int environment(struct env *env)
{
	int error = env_add(env, base_env);

	if (error == 0)
		error = env_add(env, owners_env);
	return error == 0 ? env_settle(env) : error;
}

/* The line that tells the process what has changed in its environment, empty for nothing. It counts as told. */
static void take_env(struct text *line)
{
	struct env env = { 0 };

	if (!env_changed)
		return;
	env_changed = false;
	line->failed = environment(&env) != 0;
	/* All of it for those of images that were made before changes were told. */
	text_put(line, "{\"env\":");
	env_quote(&env, line);
	text_put(line, ",\"changes\":");
	if (!env_quote_changes(&told, &env, line) && !line->failed)
		text_free(line);
	else
		text_put(line, "}");
	env_free(&told);
	told = env;
}

static void tell_move(void)
{
	struct text line = { 0 };

	text_put(&line, "{\"reseed\":true}");
	worker_send(&worker, &line, false);
}

/* Brings the process to where and what it is now. True if it is started again for that: nobody's variables are in it yet. */
static bool renew(void)
{
	struct text env = { 0 };
	bool stale;

	take_env(&env);
	stale = moved || env.length > 0 || env.failed;
	renewing = stale && !worker.reseeds && !used;
	if (renewing) {
		text_free(&env);
		worker_kill(&worker);
		return true;
	}
	if (moved && worker.reseeds)
		tell_move();
	moved = false;
	if (env.length > 0 || env.failed)
		worker_send(&worker, &env, false);
	return false;
}

static void run_next(void)
{
	struct job *job = waiting;

	if (running != NULL || job == NULL || !worker.running || !worker.ready || renewing || renew())
		return;
	waiting = job->next;
	running = job;
	used = true;
	worker_send(&worker, &job->line, true);
	if (*lost != 0)
		worker_note(&worker, lost);
}

static void became_ready(void)
{
	settle("ready");
	run_next();
}

static void answered(struct text *outcome)
{
	struct job *job = running;

	running = NULL;
	timer_stop(&grace);
	if (job != NULL && job->session != NULL)
		*lost = 0;
	if (job != NULL)
		finish(job, outcome);
	else
		text_free(outcome);
	run_next();
}

static void fail_waiting(const char *reason)
{
	settle("failed");
	while (waiting != NULL) {
		struct job *job = waiting;
		struct text outcome = { 0 };

		waiting = job->next;
		worker_outcome(&worker, reason, &outcome);
		finish(job, &outcome);
	}
}

static void start(void)
{
	char reason[160];
	int error;

	env_free(&told);
	error = environment(&told);
	env_changed = used = moved = renewing = false;
	state = "starting";
	if (error == 0)
		error = worker_start(&worker, command, &told);
	if (error == 0)
		return;
	snprintf(reason, sizeof reason, "cannot start the interpreter: %s", spawn_reason(error));
	fail_waiting(reason);
}

static void died(const char *how)
{
	char reason[160];

	timer_stop(&grace);
	if (used)
		snprintf(lost, sizeof lost, "the interpreter %s; its variables are lost", how);
	if (running != NULL) {
		struct job *job = running;
		struct text outcome = { 0 };

		running = NULL;
		worker_outcome(&worker, lost, &outcome); /* it was used by this */
		finish(job, &outcome);
	}
	if (worker.ready) {
		start();
		return;
	}
	snprintf(reason, sizeof reason, "the interpreter %s%s", how, worker.begun ? " before it was ready" : "");
	fail_waiting(reason);
}

static void grace_over(struct timer *timer)
{
	(void)timer; /* there is one */
	worker_kill(&worker);
}

static void take_out(struct job *job)
{
	struct job **at = &waiting;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
}

/* Nobody wants its outcome any more. */
static void cancel(struct job *job)
{
	struct text none = { 0 };

	job->session = NULL;
	if (job != running) {
		take_out(job);
		finish(job, &none);
		return;
	}
	timer_stop(&job->deadline);
	worker_interrupt(&worker);
	timer_start(&grace, INTERRUPT_GRACE_MS);
}

static void gone(struct work *work, bool cancelled)
{
	struct job *job = owner_of(work, struct job, work);

	job->session = NULL;
	if (cancelled)
		cancel(job);
}

static void deadline(struct timer *timer)
{
	struct job *job = owner_of(timer, struct job, deadline);
	struct session *session = job->session;

	cancel(job);
	if (session != NULL)
		session_fail(session, "deadline", "the evaluation was interrupted at its deadline");
}

void interpreter_env_changed(void)
{
	env_changed = true;
}

void interpreter_moved(void)
{
	moved = true;
}

static void append(struct job *job)
{
	struct job **at = &waiting;

	while (*at != NULL)
		at = &(*at)->next;
	*at = job;
}

static int count_waiting(void)
{
	int count = 0;

	for (struct job *each = waiting; each != NULL; each = each->next)
		count++;
	return count;
}

int interpreter_run(struct session *session, struct json code, int64_t deadline_ms)
{
	struct job *job;

	if (count_waiting() >= MAX_WAITING)
		return -EAGAIN;
	job = calloc(1, sizeof *job);
	if (job == NULL)
		return -ENOMEM;
	text_put(&job->line, "{\"code\":");
	text_add(&job->line, code.at, (size_t)(code.end - code.at));
	text_put(&job->line, "}");
	if (job->line.failed) {
		text_free(&job->line);
		free(job);
		return -ENOMEM;
	}
	job->work.gone = gone;
	job->session = session;
	job->deadline.expired = deadline;
	session->work = &job->work;
	append(job);
	if (deadline_ms > 0)
		timer_start(&job->deadline, deadline_ms);
	if (!worker.running)
		start();
	else
		run_next();
	return 0;
}

void interpreter_open(char *const *with, const struct env *base, const struct env *owners)
{
	command = with;
	base_env = base;
	owners_env = owners;
	grace.expired = grace_over;
	worker.became_ready = became_ready;
	worker.answered = answered;
	worker.died = died;
	start();
}
