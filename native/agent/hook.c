#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "group.h"
#include "spawn.h"

struct hook {
	struct work work;
	struct session *session; /* NULL: nobody waits for it any more */
	struct source exit;
	struct timer deadline;
	struct group group;
	struct text answer;
	struct child child;
	int64_t timeout_ms;
	bool killed;
};

static void gone(struct work *work, bool cancelled)
{
	(void)cancelled; /* a hook that was begun is done in any case */
	owner_of(work, struct hook, work)->session = NULL;
}

static void deadline(struct timer *timer)
{
	struct hook *hook = owner_of(timer, struct hook, deadline);

	hook->killed = true;
	group_kill(&hook->group, hook->child.pid);
}

static void add_error(struct text *answer, const char *error)
{
	text_put(answer, "{\"error\":");
	text_quote(answer, error, strlen(error));
	text_put(answer, "}");
}

static void add_result(struct hook *hook, int exit_code, int signal)
{
	struct text error = { 0 };
	int outcome = spawn_outcome(&hook->child.report_fd);

	if (outcome != 0) {
		add_error(&hook->answer, strerror(-outcome));
		return;
	}
	if (!hook->killed) {
		text_put(&hook->answer, "{\"exit_code\":");
		text_number(&hook->answer, signal > 0 ? -signal : exit_code);
		text_put(&hook->answer, "}");
		return;
	}
	text_put(&error, "killed after ");
	text_number(&error, hook->timeout_ms / 1000);
	text_put(&error, " seconds");
	text_add(&error, "", 1);
	add_error(&hook->answer, error.failed ? "killed" : error.bytes);
	text_free(&error);
}

static void exited(struct source *source, uint32_t events)
{
	struct hook *hook = owner_of(source, struct hook, exit);
	int signal;
	int exit_code = reap(hook->child.pid, &signal);

	(void)events; /* only one kind is asked for */
	timer_stop(&hook->deadline);
	source_close(source);
	group_leave(&hook->group);
	add_result(hook, exit_code, signal);
	text_put(&hook->answer, "}");
	if (hook->session != NULL)
		session_end(hook->session, &hook->answer);
	else
		text_free(&hook->answer);
	free(hook);
}

static int start(struct hook *hook, const char *path, const struct env *env)
{
	char *args[] = { strdup(path), NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct launch launch = { .args = args, .env = env, .cwd = "/", .passed_fd = -1, .as_root = true };
	int error = null < 0 ? -errno : args[0] == NULL ? -ENOMEM : 0;

	hook->group = group_new();
	launch.stdin_fd = launch.stdout_fd = launch.stderr_fd = null;
	launch.group_fd = hook->group.fd;
	if (error == 0)
		error = spawn(&launch, &hook->child);
	group_started(&hook->group);
	if (error != 0)
		group_leave(&hook->group);
	if (null >= 0)
		close(null);
	free(args[0]);
	return error;
}

void hook_answer(struct session *session, const char *path, const struct env *env, int64_t timeout_ms,
		 struct text *answer)
{
	struct hook *hook = access(path, X_OK) == 0 ? calloc(1, sizeof *hook) : NULL;
	int error = hook == NULL ? 0 : start(hook, path, env);

	if (hook == NULL || error != 0) {
		if (error == 0)
			text_put(answer, "null");
		else
			add_error(answer, strerror(-error));
		text_put(answer, "}");
		session_end(session, answer);
		free(hook);
		return;
	}
	hook->work.gone = gone;
	hook->session = session;
	hook->answer = *answer;
	*answer = (struct text){ 0 };
	hook->timeout_ms = timeout_ms;
	hook->exit = (struct source){ .fd = hook->child.pidfd, .ready = exited };
	hook->deadline.expired = deadline;
	session->work = &hook->work;
	source_watch(&hook->exit, EPOLLIN);
	timer_start(&hook->deadline, timeout_ms);
}
