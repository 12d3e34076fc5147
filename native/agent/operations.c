#include "operations.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connections.h"
#include "dial.h"
#include "errand.h"
#include "fields.h"
#include "file_operations.h"
#include "freeze.h"
#include "hook.h"
#include "identity.h"
#include "interpreter.h"
#include "process_operations.h"
#include "program.h"
#include "serial.h"
#include "stats.h"

#define DEFAULT_HOOK_MS 10000
#define MAX_CODE_CHARACTERS (4u << 20)

static const struct config *config;
static bool owns_machine;

void operations_open(const struct config *with, bool privileged)
{
	config = with;
	owns_machine = privileged;
	process_operations_open(with);
	errands_open(with->cwd);
}

static void answer_identity(struct session *session, const char *nonce, bool restored, int64_t hook_ms)
{
	struct text answer = { 0 };
	struct env env = { 0 };
	char hostname[65] = "";

	gethostname(hostname, sizeof hostname - 1);
	text_put(&answer, "{\"nonce\":");
	text_quote(&answer, nonce, strlen(nonce));
	text_put(&answer, ",\"hostname\":");
	text_quote(&answer, hostname, strlen(hostname));
	text_put(&answer, restored ? ",\"restored\":true,\"hook\":" : ",\"restored\":false,\"hook\":");
	if (restored && command_default_env(config, &env) == 0 && env_settle(&env) == 0) {
		hook_answer(session, config->hook_path, &env, hook_ms, &answer);
	} else {
		text_put(&answer, "null}");
		session_end(session, &answer);
	}
	env_free(&env);
}

static void identify(struct session *session, struct json request)
{
	bool restored = identity_claimed();
	int64_t hook_ms = DEFAULT_HOOK_MS;
	struct problem problem;
	char *nonce = NULL;
	int error;

	if (restored && !identity_knows(request)) {
		session_fail(session, "unauthorized", "the secret is missing or wrong");
		return;
	}
	error = field_required_text(request, "nonce", &nonce, &problem);
	if (error == 0)
		error = field_seconds(request, "hook_timeout_secs", &hook_ms, &problem);
	if (error == 0)
		error = identity_take(request, &problem);
	if (error != 0) {
		session_refuse(session, error, &problem);
	} else {
		if (restored && owns_machine)
			connections_end_inherited(session->source.fd);
		interpreter_env_changed();
		if (restored)
			interpreter_moved();
		/* Last: whoever held the programs of the machine that this was a copy of lets go of them here. */
		sessions_detach(session);
		ports_reset(session);
		answer_identity(session, nonce, restored, hook_ms);
	}
	free(nonce);
}

struct ping {
	struct work work;
	struct session *session;
	struct timer deadline;
	struct ping *next;
};

static struct ping *pings;

static void answer_ping(struct session *session)
{
	struct text answer = { 0 };
	int64_t uptime_ms = now_ms();
	char uptime[32];

	snprintf(uptime, sizeof uptime, "%lld.%03d", (long long)(uptime_ms / 1000), (int)(uptime_ms % 1000)); /* as %lld takes it */
	text_put(&answer, "{\"pong\":true,\"interpreter\":\"");
	text_put(&answer, interpreter_state());
	text_put(&answer, "\",\"uptime_secs\":");
	text_put(&answer, uptime);
	text_put(&answer, "}");
	session_end(session, &answer);
}

static void forget_ping(struct ping *ping)
{
	struct ping **at = &pings;

	while (*at != ping)
		at = &(*at)->next;
	*at = ping->next;
	timer_stop(&ping->deadline);
	free(ping);
}

static void ping_gone(struct work *work, bool cancelled)
{
	(void)cancelled; /* it had started nothing */
	forget_ping(owner_of(work, struct ping, work));
}

static void ping_expired(struct timer *timer)
{
	struct ping *ping = owner_of(timer, struct ping, deadline);
	struct session *session = ping->session;

	forget_ping(ping);
	answer_ping(session);
}

void operations_answer_pings(void)
{
	while (pings != NULL && interpreter_settled())
		ping_expired(&pings->deadline);
}

static void run_ping(struct session *session, struct json request)
{
	struct problem problem;
	struct json warm;
	int64_t ms = 0;
	int error = field_seconds(request, "timeout_secs", &ms, &problem);
	bool waits = config->interpreter != NULL && json_member(request, "warm", &warm) == 0 && json_is(warm, 't');
	struct ping *ping = error == 0 && waits ? calloc(1, sizeof *ping) : NULL;

	if (error != 0) {
		session_refuse(session, error, &problem);
	} else if (ping == NULL) {
		answer_ping(session);
	} else {
		*ping = (struct ping){ .work.gone = ping_gone, .session = session, .deadline.expired = ping_expired,
				       .next = pings };
		pings = ping;
		session->work = &ping->work;
		if (ms > 0)
			timer_start(&ping->deadline, ms);
	}
}

static void run_exec(struct session *session, struct json request)
{
	struct command command = { 0 };
	struct problem problem;
	int error = command_read(config, request, &command, &problem);

	if (error != 0)
		session_refuse(session, error, &problem);
	else
		program_start(session, &command);
	command_free(&command);
}

static void run_eval(struct session *session, struct json request)
{
	struct problem problem;
	struct json code;
	char *text = NULL;
	int64_t ms = 0;
	int error = field_required_text(request, "code", &text, &problem);

	free(text); /* looked at for what it must not hold; it is passed on as it was written */
	if (error == 0)
		error = field_seconds(request, "timeout_secs", &ms, &problem);
	if (error == 0)
		error = json_member(request, "code", &code);
	if (error == 0 && json_characters(code) > MAX_CODE_CHARACTERS) {
		snprintf(problem.text, sizeof problem.text, "code must have at most %u characters", MAX_CODE_CHARACTERS);
		error = -EINVAL;
	}
	if (error == 0 && config->interpreter == NULL) {
		session_fail(session, "no_interpreter", "this image has no warm interpreter");
		return;
	}
	if (error == 0)
		error = interpreter_run(session, code, ms);
	if (error == -EAGAIN)
		session_fail(session, "busy", "too many evals are waiting");
	else if (error != 0)
		session_refuse(session, error, &problem);
}

static void run_set_clock(struct session *session, struct json request)
{
	struct text done = { 0 };
	struct problem problem;
	int64_t ns = 0;
	int error = field_nanoseconds(request, "unix_time_ns", &ns, &problem);

	if (error != 0) {
		session_refuse(session, error, &problem);
		return;
	}
	error = identity_set_clock(ns);
	if (error != 0) {
		snprintf(problem.text, sizeof problem.text, "the clock cannot be set: %s", strerror(-error));
		session_fail(session, "clock_failed", problem.text);
		return;
	}
	text_put(&done, "{}");
	session_end(session, &done);
}

static void run_set_env(struct session *session, struct json request)
{
	struct text done = { 0 };
	struct problem problem;
	int error = identity_add_env(request, &problem);

	if (error != 0) {
		session_refuse(session, error, &problem);
		return;
	}
	interpreter_env_changed();
	text_put(&done, "{}");
	session_end(session, &done);
}

static void run_shutdown(struct session *session, struct json request)
{
	struct text done = { 0 };

	(void)request; /* it has no fields */
	text_put(&done, "{}");
	session_end(session, &done); /* before the signal: PID 1 ends this process too */
	kill(owns_machine ? 1 : getpid(), SIGTERM);
}

static const struct {
	const char *name;
	void (*run)(struct session *session, struct json request);
} OPERATIONS[] = {
	{ "ping", run_ping },	      { "exec", run_exec },	      { "eval", run_eval },
	{ "set_clock", run_set_clock }, { "shutdown", run_shutdown }, { "start", run_start },
	{ "processes", run_processes }, { "process", run_process },   { "output", run_output },
	{ "attach", run_attach },	      { "stdin", run_stdin },	      { "signal", run_signal },
	{ "resize", run_resize },	      { "dial", run_dial },	      { "stats", run_stats },
	{ "freeze", run_freeze },	      { "set_env", run_set_env },
};

static void run_named(struct session *session, const char *name, struct json request)
{
	struct problem problem;

	for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++) {
		if (strcmp(OPERATIONS[i].name, name) == 0) {
			OPERATIONS[i].run(session, request);
			return;
		}
	}
	if (run_file_operation(session, name, request))
		return;
	snprintf(problem.text, sizeof problem.text, "there is no operation \"%.64s\"", name);
	session_fail(session, "unknown_op", problem.text);
}

void operations_run(struct session *session, struct json request)
{
	struct problem problem;
	char *name = NULL;
	int error = field_required_text(request, "op", &name, &problem);

	if (error == 0 && strcmp(name, "identify") == 0)
		identify(session, request);
	else if (!identity_knows(request))
		session_fail(session, "unauthorized", "the secret is missing or wrong");
	else if (error != 0)
		session_refuse(session, error, &problem);
	else
		run_named(session, name, request);
	free(name);
}
