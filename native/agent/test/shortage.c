/*
 * Memory that is not there, where something of a client's or a program's would get lost by it: whoever it belongs to is told, each time. The calls
 * that fail are wrapped (ld's --wrap); which of them fails, a test says.
 *
 *   shortage
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "denied.h"
#include "dial.h"
#include "errand.h"
#include "file_look.h"
#include "interpreter.h"
#include "names.h"
#include "process.h"
#include "process_operations.h"
#include "program.h"
#include "spawn.h"
#include "tcp.h"
#include "user.h"
#include "watch.h"

static struct json parsed(const char *text)
{
	struct json request;

	assert(json_check(text, strlen(text), &request) == 0);
	return request;
}

/* What there is no memory to pass on is told of, and what becomes of the program; the session ends. */
static void lose_input(struct session *session, int client_fd, const char *outcome)
{
	char answer[2048];

	add_frame(session, FRAME_STDIN, "lost", 4);
	no_memory_to_write = true;
	session->work->input(session->work);
	no_memory_to_write = false;
	await_end(client_fd, answer, sizeof answer);
	assert(strstr(answer, "\"input_lost\"") != NULL && strstr(answer, outcome) != NULL);
	close_session(session, client_fd);
}

static void exec_that_loses_input(void)
{
	char *args[] = { (char *)"cat", NULL }; /* only read */
	struct command command = { .args = args, .cwd = (char *)"/" };
	int client_fd;
	struct session *session = open_session(&client_fd);

	assert(env_settle(&command.env) == 0);
	program_start(session, &command);
	env_free(&command.env);
	lose_input(session, client_fd, "it was killed");
	programs_sweep();
}

/* The session of a kept cat, of which `started` was told. */
static struct session *start_cat(int *client_fd, const char *request)
{
	struct session *session = open_session(client_fd);
	char event[2048];

	run_start(session, parsed(request));
	assert(await_frame(*client_fd, event, sizeof event, NULL) == FRAME_EVENT && strstr(event, "started") != NULL);
	return session;
}

static void end_process(void)
{
	struct process *process = process_next(NULL);

	process_signal(process, SIGKILL);
	while (!process->over)
		loop_turn();
}

/* It goes on, and takes what comes next. */
static void process_that_loses_input(void)
{
	int client_fd;
	struct session *session = start_cat(&client_fd, "{\"args\":[\"cat\"],\"stdin\":true,\"attach\":true}");
	struct process *process = process_next(NULL);

	lose_input(session, client_fd, "it goes on");
	assert(process_takes_input(process) && process_write(process, "kept", 4) == 4 && process->input_bytes == 4);
	end_process();
}

/* One that ends with its client ends with what its client said, too. */
static void process_that_is_killed_for_it(void)
{
	int client_fd;
	struct session *session = start_cat(
		&client_fd, "{\"args\":[\"cat\"],\"stdin\":true,\"attach\":true,\"kill_on_disconnect\":true}");
	struct process *process = process_next(NULL);

	lose_input(session, client_fd, "it was killed");
	while (!process->over)
		loop_turn();
	assert(process->signal == SIGKILL);
}

static void refused_start(const char *for_text, size_t of_bytes, const char *expected)
{
	char answer[2048];
	int client_fd;
	struct session *session = open_session(&client_fd);

	no_memory_for = for_text;
	no_memory_of_bytes = of_bytes;
	run_start(session, parsed("{\"args\":[\"cat\"],\"stdin\":true,\"attach\":true,\"kill_on_disconnect\":true}"));
	await_end(client_fd, answer, sizeof answer);
	no_memory_for = NULL;
	no_memory_of_bytes = 0;
	assert(strstr(answer, expected) != NULL);
	close_session(session, client_fd);
}

static void gap_without_memory(void)
{
	static char bytes[CHUNK_BYTES + 1];
	char request[64];
	int client_fd;
	struct session *session = open_session(&client_fd);
	struct process *process;

	run_start(session, parsed("{\"args\":[\"head\",\"-c\",\"3000000\",\"/dev/zero\"]}"));
	await_end(client_fd, bytes, sizeof bytes);
	close_session(session, client_fd);
	process = process_next(NULL);
	while (!process->over)
		loop_turn();
	snprintf(request, sizeof request, "{\"pid\":%d}", process->pid);
	session = open_session(&client_fd);
	no_memory_for = "{\"gap\"";
	run_output(session, parsed(request));
	no_memory_for = NULL;
	assert(await_frame(client_fd, bytes, sizeof bytes, NULL) == FRAME_EVENT);
	assert(strstr(bytes, "{\"gap\":{\"stream\":\"stdout\",\"bytes\":") != NULL);
	close_session(session, client_fd);
}

static void nobody_asks(struct session *session, struct json request)
{
	(void)session, (void)request; /* it came without its input */
	assert(false);
}

static void request_that_loses_its_input(void)
{
	static const char request[] = "{\"op\":\"exec\",\"args\":[\"cat\"]}";
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	char bytes[1024];
	size_t length = FRAME_HEADER_BYTES + sizeof request - 1;
	int port, fd = socket(AF_INET, SOCK_STREAM, 0);

	sessions_open(nobody_asks);
	assert(tcp_listen("127.0.0.1", 0, &port) == 0);
	name.sin_port = htons((uint16_t)port); /* a port */
	/* The cast is how connect() takes addresses of any family. */
	assert(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
	frame_header(bytes, FRAME_REQUEST, sizeof request - 1);
	memcpy(bytes + FRAME_HEADER_BYTES, request, sizeof request - 1);
	frame_header(bytes + length, FRAME_STDIN, 5);
	memcpy(bytes + length + FRAME_HEADER_BYTES, "input", 5);
	length += FRAME_HEADER_BYTES + 5;
	assert(send(fd, bytes, length, 0) == (ssize_t)length);
	reallocs_until_error = 1; /* the first is for what is received */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	await_end(fd, bytes, sizeof bytes);
	assert(reallocs_until_error == -1 && strstr(bytes, "\"out_of_memory\"") != NULL);
	close(fd);
	loop_turn();
	sessions_sweep();
}

static void dial_that_loses_input(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof name;
	int client_fd, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct session *session = open_session(&client_fd);
	char text[1024];

	/* The casts are how the socket calls take addresses of any family. */
	assert(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 1) == 0);
	assert(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
	snprintf(text, sizeof text, "{\"port\":%d}", ntohs(name.sin_port));
	run_dial(session, parsed(text));
	assert(await_frame(client_fd, text, sizeof text, NULL) == FRAME_EVENT);
	add_frame(session, FRAME_STDIN, "lost", 4);
	no_memory_to_send = true;
	session->work->input(session->work);
	await_end(client_fd, text, sizeof text);
	assert(strstr(text, "\"connection_reset\"") != NULL);
	close_session(session, client_fd);
	close(listener);
	dials_sweep();
}

static void take_away(const char *folder, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert(unlink(path) == 0);
}

/* Whether the errand says at its end that there was no memory. */
static void errand_without_memory(errand_work work, const char *path, bool begins, void (*then)(void))
{
	const struct file_request request = { .path = (char *)path, .depth = 9 }; /* only read */
	char answer[2048];
	int client_fd;
	struct session *session = open_session(&client_fd);

	assert(errand_start(session, &request, work, false) == 0);
	if (begins)
		assert(await_frame(client_fd, answer, sizeof answer, NULL) == FRAME_EVENT);
	if (then != NULL)
		then();
	await_end(client_fd, answer, sizeof answer);
	assert(strstr(answer, "\"out_of_memory\"") != NULL);
	close_session(session, client_fd);
	errands_sweep();
}

static char files[] = "/tmp/bough-shortage-XXXXXX";

static void change_file(void)
{
	write_file(files, "file", "changed");
}

static void what_files_lose(void)
{
	char inner[64];

	assert(mkdtemp(files) != NULL);
	snprintf(inner, sizeof inner, "%s/inner", files);
	assert(mkdir(inner, 0755) == 0);
	write_file(files, "file", "");
	no_memory_for = "{\"entries\":[";
	errand_without_memory(file_list, files, false, NULL);
	no_memory_for = "{\"changes\":";
	errand_without_memory(file_watch, files, true, change_file);
	no_memory_for = NULL;
	no_memory_for_folders = true;
	errand_without_memory(file_list, files, false, NULL);
	no_memory_for_folders = false;
	take_away(files, "file");
	assert(rmdir(inner) == 0 && rmdir(files) == 0);
}

/* What the user wrote there stays. */
static void hosts_that_cannot_be_read(void)
{
	char folder[] = "/tmp/bough-shortage-XXXXXX", path[64], line[64] = "";
	FILE *file;

	assert(mkdtemp(folder) != NULL);
	write_file(folder, "hosts", "10.0.0.1 mine\n");
	etc = folder;
	assert(names_set_hostname("child") == 0);
	etc = NULL;
	snprintf(path, sizeof path, "%s/hosts", folder);
	file = fopen(path, "r");
	assert(file != NULL && fgets(line, sizeof line, file) != NULL && strcmp(line, "10.0.0.1 mine\n") == 0);
	fclose(file);
	take_away(folder, "hosts");
	take_away(folder, "hostname");
	assert(rmdir(folder) == 0);
}

static void user_that_cannot_be_read(void)
{
	struct user user;
	struct problem problem;

	no_memory_to_read = true;
	assert(user_find("root", &user, &problem) == -ENOMEM);
	no_memory_to_read = false;
}

/* As guest/'s interpreters: a line is evaluated and answered. This one prints something meanwhile. */
static int be_interpreter(void)
{
	int fd = atoi(getenv("BOUGH_FD"));
	FILE *control = fdopen(fd, "r+");
	char line[256];

	dprintf(fd, "{\"ready\":true}\n");
	while (fgets(line, sizeof line, control) != NULL) {
		printf("printed\n");
		fflush(stdout);
		dprintf(fd, "{\"result\":null,\"error\":null,\"exit_code\":0}\n");
	}
	return 0;
}

static void print_that_is_cut(void)
{
	char *command[] = { (char *)"/proc/self/exe", (char *)"interpreter", NULL }; /* only read */
	struct env env = { 0 };
	char answer[1024];
	int client_fd;
	struct session *session = open_session(&client_fd);

	assert(env_settle(&env) == 0);
	interpreter_open(command, &env, &env);
	assert(interpreter_run(session, parsed("\"1\""), 0) == 0);
	no_memory_for = "printed";
	await_end(client_fd, answer, sizeof answer);
	no_memory_for = NULL;
	assert(strstr(answer, "\"stdout\":\"\"") != NULL && strstr(answer, "\"truncated\":true") != NULL);
	close_session(session, client_fd);
	env_free(&env);
}

int main(int count, char **args)
{
	static struct config config = { .cwd = (char *)"/" }; /* only read */

	if (count > 1 && strcmp(args[1], "interpreter") == 0)
		return be_interpreter();
	alarm(60); /* what is not said would be waited for */
	signal(SIGPIPE, SIG_IGN);
	assert(loop_open() == 0 && env_set(&config.environment, "PATH", "/usr/bin:/bin") == 0);
	process_operations_open(&config);
	errands_open("/");
	exec_that_loses_input();
	process_that_loses_input();
	process_that_is_killed_for_it();
	refused_start("{\"started\":", 0, "\"out_of_memory\"");
	refused_start(NULL, 4096, "\"not_started\"");
	gap_without_memory();
	request_that_loses_its_input();
	dial_that_loses_input();
	what_files_lose();
	hosts_that_cannot_be_read();
	user_that_cannot_be_read();
	print_that_is_cut();
	printf("shortage: nothing was lost unsaid\n");
	return 0;
}
