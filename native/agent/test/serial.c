/*
 * The agent on serial ports, which are pseudo-terminals here: what it answers, and that it goes on whatever comes.
 *
 *   serial AGENT SEED ROUNDS
 */
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port.h"

#define EXEC(command) "{\"op\":\"exec\"," SECRET ",\"args\":[\"sh\",\"-c\",\"" command "\"]}"
#define IDENTIFY "{\"op\":\"identify\"," SECRET ",\"new_secret\":\"the-secret-of-this-test\",\"nonce\":\"n\",\"seed\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"unix_time_ns\":\"1\"}"
#define PORTS 3

static char folder[] = "/tmp/bough-serial-XXXXXX", state_folder[64];
static int masters[PORTS], folder_fd, tcp_port;
static pid_t agent;
static unsigned long long state;

static unsigned random_below(unsigned limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % limit; /* the upper bits are the good ones */
}

/* The same by TCP. */
static void ask(const char *request, const char *expected)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)tcp_port), /* a port */
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The cast is how connect() takes addresses of any family. */
	assert(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
	put_request(fd, request);
	expect(fd, FRAME_END, expected);
	close(fd);
}

static bool has_ended(pid_t pid)
{
	for (int i = 0; i < PATIENCE_MS && kill(pid, 0) == 0; i++)
		pause_ms(1);
	return kill(pid, 0) != 0;
}

/* A program that goes on; its first words are its number. */
static pid_t start_program(int fd, const char *request)
{
	put_request(fd, request);
	assert(get_frame(fd) == FRAME_STDOUT && atoi(payload) > 1);
	return atoi(payload);
}

static void requests_one_behind_the_other(void)
{
	char bytes[1024];
	size_t length = 0;

	for (int i = 0; i < 5; i++) {
		length += add(bytes + length, FRAME_REQUEST, PING, sizeof PING - 1);
		length += add(bytes + length, FRAME_CLOSE, "", 0);
	}
	put(masters[0], bytes, length);
	for (int i = 0; i < 5; i++) {
		expect(masters[0], FRAME_END, "\"pong\":true");
		expect(masters[0], FRAME_CLOSE, "");
	}
	/* In the smallest of pieces. */
	for (size_t i = 0; i < length / 5; i++) {
		put(masters[0], bytes + i, 1);
		pause_ms(1);
	}
	expect(masters[0], FRAME_END, "\"pong\":true");
	expect(masters[0], FRAME_CLOSE, "");
	/* One that asks nothing. */
	close_port(masters[0]);
	ping(masters[0]);
}

static void cancelled_in_its_output(void)
{
	pid_t pid = start_program(masters[0], EXEC("echo $$; exec cat /dev/zero"));

	pause_ms(50);
	put_frame(masters[0], FRAME_CLOSE, "", 0);
	put_request(masters[0], PING);
	while (get_frame(masters[0]) == FRAME_STDOUT)
		;
	assert(payload_length == 0); /* CLOSE, and no END before it */
	expect(masters[0], FRAME_END, "\"pong\":true");
	close_port(masters[0]);
	assert(has_ended(pid));
}

static void ended_by_the_agent(void)
{
	pid_t pid = start_program(masters[0], EXEC("echo $$; exec cat"));

	/* Not in the middle of an operation. */
	put_request(masters[0], PING);
	expect(masters[0], FRAME_CLOSE, "");
	assert(has_ended(pid));
	put_frame(masters[0], FRAME_STDIN, PING, sizeof PING - 1);
	put_request(masters[0], PING);
	put_frame(masters[0], FRAME_CLOSE, "", 0);
	ping(masters[0]);
}

static void greeted_again(void)
{
	pid_t pid = start_program(masters[0], EXEC("echo $$; exec cat /dev/zero")), other;

	other = start_program(masters[1], EXEC("echo $$; exec cat"));
	greet(masters[0]);
	ping(masters[0]);
	assert(has_ended(pid) && kill(other, 0) == 0);
	close_port(masters[1]);
	assert(has_ended(other));
}

/* The agent says that it let go of the port. */
static void expect_reset(int fd)
{
	static const char reset[FRAME_HEADER_BYTES];

	assert(get(fd, payload, sizeof reset, PATIENCE_MS) && memcmp(payload, reset, sizeof reset) == 0);
}

static void garbage(void)
{
	static const char *const pieces[] = { "garbage", "\x03\0\0\0\1x", "\x0b\0\0\0\1x", "\x0a\0\0\0\1x" };

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		put(masters[0], pieces[i], 6);
		expect_reset(masters[0]);
		greet(masters[0]);
		ping(masters[0]);
	}
}

static void a_client_that_does_not_read(void)
{
	char path[128];
	size_t bytes = 0;
	char *input = calloc(1, CHUNK_BYTES);

	snprintf(path, sizeof path, "%s/done", state_folder);
	put_request(masters[0], EXEC("head -c 3000000 /dev/zero; touch done"));
	pause_ms(500);
	assert(access(path, F_OK) != 0);
	ping(masters[1]);
	while (get_frame(masters[0]) == FRAME_STDOUT)
		bytes += payload_length;
	assert(bytes == 3000000 && strstr(payload, "\"exit_code\":0") != NULL && access(path, F_OK) == 0);
	close_port(masters[0]);
	put_request(masters[0], EXEC("sleep 0.3; wc -c"));
	for (int i = 0; i < 16; i++)
		put_frame(masters[0], FRAME_STDIN, input, CHUNK_BYTES);
	put_frame(masters[0], FRAME_STDIN, "", 0);
	expect(masters[0], FRAME_STDOUT, "1048576");
	expect(masters[0], FRAME_END, "\"exit_code\":0");
	close_port(masters[0]);
	free(input);
}

/* How much of it is taken before nothing more is for a while. */
static size_t put_what_is_taken(int fd, const char *bytes, size_t length)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	int flags = fcntl(fd, F_GETFL);
	size_t taken = 0;
	ssize_t count;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (taken < length && poll(&room, 1, 300) == 1 && (count = write(fd, bytes + taken, length - taken)) > 0)
		taken += (size_t)count; /* positive */
	fcntl(fd, F_SETFL, flags);
	return taken;
}

static void a_program_that_does_not_read(void)
{
	const size_t length = FRAME_HEADER_BYTES + MAX_STDIN_BYTES;
	char *frame = calloc(1, length), *input = calloc(1, MAX_STDIN_BYTES);
	size_t taken;

	assert(add(frame, FRAME_STDIN, input, MAX_STDIN_BYTES) == length);
	put_request(masters[0], EXEC("sleep 2; wc -c"));
	taken = put_what_is_taken(masters[0], frame, length);
	assert(taken < length / 2);
	put(masters[0], frame + taken, length - taken);
	put_frame(masters[0], FRAME_STDIN, "", 0);
	expect(masters[0], FRAME_STDOUT, "1048576");
	expect(masters[0], FRAME_END, "\"exit_code\":0");
	close_port(masters[0]);
	free(frame);
	free(input);
}

static void identify_opens_them_again(void)
{
	start_program(masters[0], EXEC("echo $$; exec cat"));
	masters[2] = make_port(folder, 3);
	ask(IDENTIFY, "\"restored\":true");
	/* Who does not say HELLO is not heard. */
	for (int i = 0; i < 2; i++) {
		put_request(masters[i], PING);
		expect_reset(masters[i]);
	}
	for (int i = 0; i < PORTS; i++) {
		greet(masters[i]);
		ping(masters[i]);
	}
}

static void a_host_that_goes(void)
{
	pid_t pid = start_program(masters[0], EXEC("echo $$; exec cat"));
	int next = make_port(folder, 1);

	close(masters[0]);
	masters[0] = next;
	greet(next);
	ping(next);
	assert(has_ended(pid));
}

static const char *const REQUESTS[] = { PING, EXEC("head -c 300000 /dev/zero"), EXEC("cat"), "{\"op\":\"stats\"," SECRET "}", "{}" };

/* A port that is sent frames of chance, some of them spoilt, and is read or not. */
static void disturb(int fd)
{
	static const enum frame_kind kinds[] = { FRAME_STDIN, FRAME_CONTROL, FRAME_FILE, FRAME_CLOSE, FRAME_CLOSE };
	char bytes[4096];
	static char ignored[65536];
	const char *request = REQUESTS[random_below(sizeof REQUESTS / sizeof *REQUESTS)];
	size_t length = add(bytes, FRAME_REQUEST, request, strlen(request));

	for (unsigned i = random_below(5); i > 0; i--) {
		enum frame_kind kind = kinds[random_below(5)];

		length += add(bytes + length, kind, payload, kind == FRAME_CLOSE ? 0 : random_below(300));
	}
	for (unsigned i = random_below(3) == 0 ? 1 + random_below(3) : 0; i > 0; i--)
		bytes[random_below((unsigned)length)] = (char)random_below(256); /* any byte */
	if (random_below(4) == 0)
		length = random_below((unsigned)length);
	/* It may take no more while nobody reads. */
	if (write(fd, bytes, length) < 0 || random_below(2) == 0)
		while (read(fd, ignored, sizeof ignored) > 0)
			;
	if (random_below(3) == 0)
		pause_ms(random_below(10));
}

static void fuzz(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		int port = (int)random_below(PORTS); /* fewer than ten */

		disturb(masters[port]);
		if (random_below(30) == 0) {
			close(masters[port]);
			masters[port] = make_port(folder, port + 1);
		}
		if (i % 20 == 19)
			ask(PING, "\"pong\":true");
	}
	/* Whatever state each is in: a new host. */
	for (int i = 0; i < PORTS; i++) {
		close(masters[i]);
		masters[i] = make_port(folder, i + 1);
	}
	ask(IDENTIFY, "\"restored\":true");
	for (int i = 0; i < PORTS; i++) {
		greet(masters[i]);
		ping(masters[i]);
	}
}

static void start_agent(const char *program)
{
	int out[2], config_fd = open(state_folder, O_TMPFILE | O_RDWR, 0600);
	char line[128] = "";

	assert(config_fd >= 0 && pipe2(out, O_CLOEXEC) == 0);
	dprintf(config_fd, "{\"bind\":\"127.0.0.1\",\"port\":0,\"cwd\":\"%s\"}", state_folder);
	agent = fork();
	if (agent == 0) {
		int high[3] = { fcntl(config_fd, F_DUPFD, 20), fcntl(open(state_folder, O_RDONLY), F_DUPFD, 20),
				fcntl(folder_fd, F_DUPFD, 20) };

		dup2(out[1], 1);
		for (int i = 0; i < 3; i++)
			dup2(high[i], 3 + i);
		execl(program, program, "--unprivileged", (char *)NULL); /* the cast is execl's own end mark */
		_exit(127);
	}
	close(out[1]);
	assert(read(out[0], line, sizeof line - 1) > 0 && sscanf(strrchr(line, ':'), ":%d", &tcp_port) == 1);
}

int main(int count, char **args)
{
	char command[128];
	int status;

	assert(count == 4 && mkdtemp(folder) != NULL);
	state = strtoull(args[2], NULL, 10);
	snprintf(state_folder, sizeof state_folder, "%s/state", folder);
	assert(mkdir(state_folder, 0700) == 0);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 2; i++)
		masters[i] = make_port(folder, i + 1);
	start_agent(args[1]);
	ask(IDENTIFY, "\"restored\":false");
	for (int i = 0; i < 2; i++)
		greet(masters[i]);
	requests_one_behind_the_other();
	cancelled_in_its_output();
	ended_by_the_agent();
	garbage();
	greeted_again();
	a_client_that_does_not_read();
	a_program_that_does_not_read();
	identify_opens_them_again();
	a_host_that_goes();
	fuzz(atoi(args[3]));
	assert(waitpid(agent, &status, WNOHANG) == 0);
	kill(agent, SIGTERM);
	waitpid(agent, &status, 0);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	assert(system(command) == 0);
	printf("serial: %s rounds from seed %s\n", args[3], args[2]);
	return 0;
}
