/*
 * The guest agent: serves operations over TCP and serial ports, one connection each. The protocol is in docs/internals/agent-protocol.md.
 *
 *   bough-agent [--unprivileged]     3: the configuration (config.h), 4: a folder for its state,
 *                                    5: perhaps a folder of serial ports (serial.h)
 *
 * What it needs of its own comes in descriptors, so that it depends on nothing of the image it runs in. With --unprivileged it changes
 * nothing of the machine it runs on (no clock, no random numbers, no names, no cgroups); that and port 0 are for tests on a host.
 *
 * Idle it sleeps in epoll_wait() and wakes up for nothing: each page an idle guest writes is a page that each branch copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attachment.h"
#include "config.h"
#include "dial.h"
#include "errand.h"
#include "group.h"
#include "identity.h"
#include "interpreter.h"
#include "loop.h"
#include "names.h"
#include "operations.h"
#include "process.h"
#include "program.h"
#include "protection.h"
#include "serial.h"
#include "session.h"
#include "spawn.h"
#include "spawner.h"
#include "tcp.h"
#include "image_user.h"

#define CONFIG_FD 3
#define STATE_FD 4
#define PORTS_FD 5

static struct config config;
static bool has_ports;

static int failed(const char *what, int error)
{
	fprintf(stderr, "bough-agent: %s: %s\n", what, strerror(-error));
	return 1;
}

/* The folder that programs begin in, as Docker does: an image may name one that it does not have. */
static void make_folder(const char *path)
{
	char part[4096];

	for (size_t i = 1; path[0] == '/' && path[i - 1] != 0 && i < sizeof part; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		mkdir(part, 0755);
	}
}

/* Before the guest's programs: what makes a copy a machine of its own is done before they go on. What it starts is as any other. */
static void go_first(void)
{
	const struct sched_param first = { .sched_priority = 1 };

	/* musl has no function for it. Where it is refused, it takes its turn. */
	if (syscall(SYS_sched_setscheduler, 0, SCHED_RR | SCHED_RESET_ON_FORK, &first) != 0)
		errno = 0;
}

static void no_rank(void)
{
	/* It has that of any other process. */
}

static int open_all(bool privileged, int *port)
{
	int error = config_read(CONFIG_FD, &config);

	close(CONFIG_FD);
	if (error != 0)
		return failed("the configuration cannot be read", error);
	error = identity_open(STATE_FD, privileged);
	if (error != 0)
		return failed("the state cannot be read", error);
	error = loop_open();
	if (error == 0)
		error = tcp_listen(config.bind, config.port, port);
	if (error != 0)
		return failed("cannot listen", error);
	sessions_open(operations_run);
	image_user_set(config.user);
	if (privileged) {
		go_first();
		make_folder(config.cwd);
		error = image_user_add_home(&config.environment);
		if (error != 0)
			return failed("no memory for the environment", error);
		names_open(STATE_FD);
		groups_open(config.groups_path);
		protection_open();
	}
	spawner_open(privileged ? go_first : no_rank);
	operations_open(&config, privileged);
	if (has_ports)
		ports_open(PORTS_FD);
	if (config.interpreter != NULL)
		interpreter_open(config.interpreter, &config.environment, identity_env());
	return 0;
}

int main(int count, char **args)
{
	bool privileged = count < 2 || strcmp(args[1], "--unprivileged") != 0;
	int port;

	if (count > 2 || (count == 2 && privileged)) {
		fprintf(stderr, "usage: bough-agent [--unprivileged]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	spawn_raise_descriptors();
	fcntl(STATE_FD, F_SETFD, FD_CLOEXEC);
	/* Asked before anything else can have that number. */
	has_ports = fcntl(PORTS_FD, F_SETFD, FD_CLOEXEC) == 0;
	if (open_all(privileged, &port) != 0)
		return 1;
	printf("bough: agent listening on %s:%d\n", config.bind, port);
	fflush(stdout);
	for (;;) {
		loop_turn();
		operations_answer_pings();
		programs_sweep();
		attachments_sweep();
		processes_sweep();
		errands_sweep();
		dials_sweep();
		groups_sweep();
		ports_sweep();
		sessions_sweep();
	}
}
