#define _GNU_SOURCE
#include "fake_qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../test/check.h"

static void say(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the pager gave up */
		text += sent;
		length -= (size_t)sent;
	}
}

__attribute__((format(printf, 2, 3))) static void sayf(int fd, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* In two pieces: a reader must not depend on how a line arrives. */
	say(fd, line, (size_t)length / 2);
	say(fd, line + length / 2, (size_t)(length - length / 2));
}

static void event(int fd, const char *name)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	sayf(fd, "{\"timestamp\": {\"seconds\": %lld, \"microseconds\": %lld}, \"event\": \"%s\"}\r\n", (long long)now.tv_sec,
	     (long long)now.tv_usec, name);
}

void fake_qmp_event(struct fake_qmp *qmp, const char *name)
{
	event(qmp->connection_fd, name);
}

static void reply(int fd, const char *id)
{
	sayf(fd, "{\"return\": {}, \"id\": \"%s\"}\r\n", id);
}

static void reply_error(int fd, const char *id)
{
	sayf(fd, "{\"id\": \"%s\", \"error\": {\"class\": \"GenericError\", \"desc\": \"as scripted\"}}\r\n", id);
}

/* The string after "key":, with or without the space that the pager writes and the daemon does not; empty without one. */
static void member(const char *line, const char *key, char *value, size_t size)
{
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	const char *at = strstr(line, quoted);
	at = at ? at + strlen(quoted) : "";
	at += *at == ' ';
	at += *at == '"';
	snprintf(value, size, "%.*s", (int)strcspn(at, "\""), at);
}

/* The main thread itself writes guest memory, some of it armed. */
static void write_some_pages(struct fake_qmp *qmp)
{
	if (qmp->leaves_ram_alone)
		return;
	for (uint64_t i = random_below(&qmp->random, 12); i > 0; i--)
		machine_write_page(qmp->machine, random_below(&qmp->random, qmp->machine->page_count),
				   random_next(&qmp->random));
}

/* What happens between the command and the stop is the machine's; from then on it stands still. */
static void stop(struct fake_qmp *qmp, int fd)
{
	usleep(qmp->dawdle_us);
	if (qmp->late_disk_saves > 0) {
		qmp->late_disk_saves--;
		machine_write_disk(qmp->machine, qmp->late_disk_bytes);
	}
	machine_stop(qmp->machine);
	event(fd, "STOP");
}

static void resume(struct fake_qmp *qmp, int fd)
{
	machine_resume(qmp->machine);
	event(fd, "RESUME");
}

static void save_devices(struct fake_qmp *qmp, int fd, const char *id, const char *filename)
{
	struct machine *machine = qmp->machine;
	int script = qmp->script;
	bool failed = false;

	qmp->opened = 0;
	if (script == QMP_SAVE_FAILS_FIRST || (script == QMP_STOPPED_SAVE_FAILS && qmp->stopped)) {
		qmp->saves++;
		reply_error(fd, id);
		return;
	}
	if (script == QMP_LATE_OPEN || (script == QMP_STOPPED_LATE_OPEN && qmp->stopped))
		usleep(qmp->script_ms * 1000);
	if (!qmp->stopped)
		stop(qmp, fd);
	write_some_pages(qmp);
	machine_remember(machine);
	if (script != QMP_NEVER_OPENS && script != QMP_CLOSES) {
		int file = open64(filename, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
		qmp->opened = file >= 0 ? 1 : -errno;
		failed = file < 0 || write(file, "device state", 12) != 12;
		if (script == QMP_SAVES_LONG) {
			usleep(qmp->script_ms * 1000);
			write_some_pages(qmp);
		}
		/* QEMU leaves a file open that it could not write: here nobody hears of its close either. */
		if (failed || script == QMP_CLOSES_UNSEEN)
			syscall(SYS_close, file);
		else
			close(file);
		write_some_pages(qmp);
	}
	if (!qmp->stopped)
		resume(qmp, fd);
	qmp->saves++;
	if (script == QMP_LATE_REPLY)
		usleep(qmp->script_ms * 1000);
	if (script == QMP_CLOSES)
		return;
	if (failed || script == QMP_SAVE_FAILS_LAST)
		reply_error(fd, id);
	else
		reply(fd, id);
}

/* False when the connection is to be closed. */
static bool handle(struct fake_qmp *qmp, int fd, const char *line)
{
	char command[64], id[64], filename[512], overlay[512];

	member(line, "execute", command, sizeof(command));
	member(line, "id", id, sizeof(id));
	member(line, "filename", filename, sizeof(filename));
	CHECK(line[0] == '{' && line[strlen(line) - 1] == '}', "not an object: %s", line);
	if (strcmp(command, "xen-save-devices-state") == 0) {
		CHECK(strstr(line, "\"live\": false"), "%s", line);
		if (qmp->script == QMP_JUNK) {
			char junk[1000];
			memset(junk, 'x', sizeof(junk));
			for (int i = 0; i < 4000; i++) /* more than a socket holds: returns when the pager has hung up */
				say(fd, junk, sizeof(junk));
		}
		save_devices(qmp, fd, id, filename);
		return qmp->script != QMP_CLOSES;
	}
	if (strcmp(command, "blockdev-snapshot") == 0) {
		if (qmp->script == QMP_SWITCH_FAILS || (qmp->script == QMP_STOPPED_SWITCH_FAILS && qmp->stopped)) {
			reply_error(fd, id);
			return true;
		}
		member(line, "overlay", overlay, sizeof(overlay));
		machine_switch_overlay(qmp->machine, overlay);
		qmp->switches++;
	} else if (strcmp(command, "stop") == 0) {
		stop(qmp, fd);
		qmp->stopped = true;
	} else if (strcmp(command, "cont") == 0) {
		CHECK(qmp->stopped, "cont of a machine that runs");
		resume(qmp, fd);
		qmp->stopped = false;
	} else {
		CHECK(strcmp(command, "qmp_capabilities") == 0, "unknown command: %s", line);
	}
	if (random_below(&qmp->random, 2))
		event(fd, "BLOCK_JOB_READY");
	reply(fd, id);
	return true;
}

static void serve(struct fake_qmp *qmp, int fd)
{
	static const char greeting[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
				       "\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";
	char buffer[16384];
	size_t length = 0;

	if (qmp->script != QMP_NO_GREETING)
		say(fd, greeting, sizeof(greeting) - 1);
	for (;;) {
		ssize_t got = recv(fd, buffer + length, sizeof(buffer) - length, 0);
		char *end;
		if (got <= 0)
			return;
		length += (size_t)got;
		while ((end = memchr(buffer, '\n', length))) {
			*end = '\0';
			if (!handle(qmp, fd, buffer))
				return;
			length -= (size_t)(end + 1 - buffer);
			memmove(buffer, end + 1, length);
		}
		qmp->holds_half = length > 1;
		CHECK(length < sizeof(buffer), "a command does not end");
	}
}

static void *run(void *arg)
{
	struct fake_qmp *qmp = arg;

	for (;;) {
		int fd = accept(qmp->listen_fd, NULL, NULL);
		CHECK(fd >= 0, "errno %d", errno);
		qmp->connection_fd = fd;
		qmp->connections++;
		serve(qmp, fd);
		qmp->holds_half = false;
		close(fd);
	}
	return NULL;
}

void fake_qmp_start(struct fake_qmp *qmp, const char *path, struct machine *machine, uint64_t seed)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*qmp = (struct fake_qmp){.machine = machine, .random = seed ^ 0x51};
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	qmp->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(qmp->listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s: errno %d", path, errno);
	CHECK(listen(qmp->listen_fd, 1) == 0, "errno %d", errno);
	CHECK(pthread_create(&qmp->thread, NULL, run, qmp) == 0, "no thread");
}
