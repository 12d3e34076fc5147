/*
 * Seeded fuzzer of the agent as a whole: connections that send it anything, close at any time or read nothing. Whatever they do it goes on
 * answering, and it leaves no descriptor open; the sanitizers it is built with see the rest. Ports are dialled of a server that echoes, or
 * closes or resets where it likes, of the agent itself, and where nobody listens.
 *
 *   frames AGENT SEED CONNECTIONS
 */
#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

#define SECRET "the-secret-of-this-fuzzer"

static const char *const REQUESTS[] = {
	"{\"op\":\"ping\",\"secret\":\"" SECRET "\"}",
	"{\"op\":\"exec\",\"secret\":\"" SECRET "\",\"args\":[\"cat\"]}",
	"{\"op\":\"exec\",\"secret\":\"" SECRET "\",\"args\":[\"sh\",\"-c\",\"echo x; sleep 0.05 & exit 3\"],\"timeout_secs\":0.03}",
	"{\"op\":\"exec\",\"secret\":\"" SECRET "\",\"args\":[\"head\",\"-c\",\"300000\",\"/dev/zero\"],\"env\":{\"A\":\"b\"}}",
	"{\"op\":\"exec\",\"secret\":\"" SECRET "\",\"args\":[\"no-such-program\"],\"cwd\":\"/\"}",
	"{\"op\":\"exec\",\"secret\":\"" SECRET "\",\"args\":[\"true\"],\"user\":\"nobody\"}",
	"{\"op\":\"set_clock\",\"secret\":\"" SECRET "\",\"unix_time_ns\":\"1700000000000000000\"}",
	"{\"op\":\"stats\",\"secret\":\"" SECRET "\"}",
	"{\"op\":\"eval\",\"secret\":\"" SECRET "\",\"code\":\"1\"}",
	"{\"op\":\"identify\",\"secret\":\"x\",\"new_secret\":\"0123456789abcdef\",\"nonce\":\"n\",\"seed\":\"AAAA\"}",
};

/* Those about the process that was started last. */
static const char *const PROCESS_REQUESTS[] = {
	"{\"op\":\"start\",\"secret\":\"" SECRET "\",\"args\":[\"cat\"],\"stdin\":true,\"timeout_secs\":0.3,\"pid\":%d}",
	"{\"op\":\"start\",\"secret\":\"" SECRET "\",\"args\":[\"head\",\"-c\",\"3000000\",\"/dev/zero\"],\"attach\":true,\"kill_on_disconnect\":true,\"timeout_secs\":0.5,\"pid\":%d}",
	"{\"op\":\"start\",\"secret\":\"" SECRET "\",\"args\":[\"sh\"],\"pty\":{\"cols\":80,\"rows\":24},\"attach\":true,\"timeout_secs\":0.2,\"pid\":%d}",
	"{\"op\":\"output\",\"secret\":\"" SECRET "\",\"pid\":%d,\"follow\":true}",
	"{\"op\":\"output\",\"secret\":\"" SECRET "\",\"pid\":%d,\"stdout_from\":1000}",
	"{\"op\":\"attach\",\"secret\":\"" SECRET "\",\"pid\":%d}",
	"{\"op\":\"stdin\",\"secret\":\"" SECRET "\",\"pid\":%d,\"eof\":true}",
	"{\"op\":\"signal\",\"secret\":\"" SECRET "\",\"pid\":%d,\"signal\":9}",
	"{\"op\":\"resize\",\"secret\":\"" SECRET "\",\"pid\":%d,\"cols\":7,\"rows\":7}",
	"{\"op\":\"process\",\"secret\":\"" SECRET "\",\"pid\":%d}",
	"{\"op\":\"processes\",\"secret\":\"" SECRET "\",\"pid\":%d}",
};

/* Those about files, with names of which chance makes nothing that is there; paths are base64: "bough-fuzz-files", "bough-fuzz-files/a", ".", "/proc/self/maps". */
static const char *const FILE_REQUESTS[] = {
	"{\"op\":\"write\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcw==\"}",
	"{\"op\":\"write\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcy9h\",\"parents\":true,\"mode\":420,\"exclusive\":true}",
	"{\"op\":\"read\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcw==\",\"from\":3,\"length\":9}",
	"{\"op\":\"read\",\"secret\":\"" SECRET "\",\"path\":\"L3Byb2Mvc2VsZi9tYXBz\"}",
	"{\"op\":\"stat\",\"secret\":\"" SECRET "\",\"path\":\"Lg==\",\"follow\":true,\"user\":\"nobody\"}",
	"{\"op\":\"list\",\"secret\":\"" SECRET "\",\"path\":\"Lg==\",\"depth\":2}",
	"{\"op\":\"mkdir\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcy9h\",\"parents\":true}",
	"{\"op\":\"move\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcw==\",\"to\":\"Ym91Z2gtZnV6ei1maWxlcy9h\",\"replace\":true}",
	"{\"op\":\"remove\",\"secret\":\"" SECRET "\",\"path\":\"Ym91Z2gtZnV6ei1maWxlcw==\",\"recursive\":true}",
	"{\"op\":\"watch\",\"secret\":\"" SECRET "\",\"path\":\"Lg==\",\"recursive\":true}",
};
/* Those about a port: of the server here, of the agent, of nobody. */
static const char DIAL[] = "{\"op\":\"dial\",\"secret\":\"" SECRET "\",\"port\":%d}";

static const char LIST[] = "{\"op\":\"processes\",\"secret\":\"" SECRET "\"}";
#define SIGNAL "{\"op\":\"signal\",\"secret\":\"" SECRET "\",\"pid\":%d,\"signal\":9}"
static const char CONTROL[] = "{\"resize\":{\"cols\":10,\"rows\":10}}";

static unsigned long long state;
static int last_pid, echo_port;
static pid_t agent, echo;
static struct sockaddr_in address = { .sin_family = AF_INET };

static unsigned random_below(unsigned limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % limit; /* the upper bits are the good ones */
}

static void pause_ms(long ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static int connect_agent(void)
{
	/* Some of what is sent has no answer. */
	const struct timeval patience = { .tv_usec = 50000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The cast is how connect() takes addresses of any family. */
	assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static size_t put_frame(char *to, enum frame_kind kind, const char *payload, size_t length)
{
	frame_header(to, kind, length);
	memcpy(to + FRAME_HEADER_BYTES, payload, length);
	return FRAME_HEADER_BYTES + length;
}

static size_t put_request(char *to)
{
	char request[1024];

	if (random_below(5) == 0) {
		const int ports[] = { echo_port, echo_port, ntohs(address.sin_port), 1 };

		snprintf(request, sizeof request, DIAL, ports[random_below(4)]);
	} else if (random_below(3) == 0)
		snprintf(request, sizeof request, "%s",
			 FILE_REQUESTS[random_below(sizeof FILE_REQUESTS / sizeof *FILE_REQUESTS)]);
	else if (random_below(2) == 0)
		snprintf(request, sizeof request, "%s", REQUESTS[random_below(sizeof REQUESTS / sizeof *REQUESTS)]);
	else
		snprintf(request, sizeof request,
			 PROCESS_REQUESTS[random_below(sizeof PROCESS_REQUESTS / sizeof *PROCESS_REQUESTS)], last_pid);
	return put_frame(to, FRAME_REQUEST, request, strlen(request));
}

/* Takes what comes, and remembers the process if it is about one. */
static void take_answer(int fd)
{
	static char answer[65536];
	ssize_t count = recv(fd, answer, sizeof answer - 1, random_below(2) == 0 ? 0 : MSG_DONTWAIT);
	const char *member;

	if (count <= FRAME_HEADER_BYTES)
		return;
	answer[count] = 0;
	member = strstr(answer + FRAME_HEADER_BYTES, "{\"pid\":");
	if (member != NULL)
		last_pid = atoi(member + 7);
}

/* A request, perhaps with input, perhaps spoilt; sent whole or in part; then the connection is read or not, closed or reset. */
static void disturb(void)
{
	static char bytes[8192];
	static const char noise[256];
	const struct linger reset = { .l_onoff = 1 };
	size_t length = put_request(bytes);
	enum frame_kind input = random_below(2) == 0 ? FRAME_STDIN : FRAME_FILE;
	int fd = connect_agent();

	for (unsigned i = random_below(4); i > 0; i--)
		length += put_frame(bytes + length, input, noise, random_below(sizeof noise));
	if (random_below(4) == 0)
		length += put_frame(bytes + length, FRAME_CONTROL, CONTROL, sizeof CONTROL - 1);
	if (random_below(2) == 0)
		length += put_frame(bytes + length, input, "", 0);
	for (unsigned i = random_below(3) == 0 ? 1 + random_below(3) : 0; i > 0; i--)
		bytes[random_below((unsigned)length)] = (char)random_below(256); /* any byte */
	if (random_below(4) == 0)
		length = 1 + random_below((unsigned)length);
	if (send(fd, bytes, length, MSG_NOSIGNAL) < 0)
		length = 0; /* it closed already: as good */
	if (random_below(2) == 0)
		pause_ms(random_below(30));
	if (random_below(2) == 0)
		take_answer(fd);
	if (random_below(3) == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

/* Sends one good request and returns whether END came with that in it. */
static int asks(const char *request, const char *expected)
{
	char bytes[1024];
	size_t length = put_frame(bytes, FRAME_REQUEST, request, strlen(request));
	const struct timeval patience = { .tv_sec = 20 };
	int fd = connect_agent();
	ssize_t count;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert(send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
	count = recv(fd, bytes, sizeof bytes - 1, 0);
	close(fd);
	if (count < FRAME_HEADER_BYTES)
		return 0;
	bytes[count] = 0;
	return strstr(bytes + FRAME_HEADER_BYTES, expected) != NULL;
}

/* A spoilt request may have lost its deadline: what it started has to be ended. */
static void end_processes(void)
{
	static char answer[1 << 20];
	const struct timeval patience = { .tv_sec = 20 };
	size_t length = 0;
	ssize_t count;
	char request[256];
	int fd = connect_agent();

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	length = put_frame(answer, FRAME_REQUEST, LIST, sizeof LIST - 1);
	assert(send(fd, answer, length, MSG_NOSIGNAL) == (ssize_t)length);
	for (length = 0; length < FRAME_HEADER_BYTES || length < FRAME_HEADER_BYTES + frame_length(answer);) {
		count = recv(fd, answer + length, sizeof answer - 1 - length, 0);
		assert(count > 0);
		length += (size_t)count; /* positive */
	}
	close(fd);
	answer[length] = 0;
	for (char *at = answer + FRAME_HEADER_BYTES; (at = strstr(at, "{\"pid\":")) != NULL; at++) {
		snprintf(request, sizeof request, SIGNAL, atoi(at + 7));
		assert(asks(request, "{"));
	}
}

static int count_descriptors(void)
{
	char path[64];
	DIR *folder;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", agent);
	folder = opendir(path);
	assert(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* Gives back what comes, for a while; or hangs up, in good order or not, at once or later. */
static void answer_dial(int fd, unsigned mood)
{
	const struct linger reset = { .l_onoff = 1 };
	char piece[4096];
	ssize_t count;

	while (mood % 4 != 0 && (count = recv(fd, piece, sizeof piece, 0)) > 0)
		if (send(fd, piece, (size_t)count, MSG_NOSIGNAL) < 0 || mood % 4 == 1) /* positive */
			break;
	if (mood % 3 == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

static void start_echo(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof name;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The casts are how the socket calls take addresses of any family. */
	assert(listener >= 0 && bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 64) == 0);
	assert(getsockname(listener, (struct sockaddr *)&name, &length) == 0);
	echo_port = ntohs(name.sin_port);
	echo = fork();
	if (echo != 0) {
		close(listener);
		return;
	}
	signal(SIGCHLD, SIG_IGN);
	for (unsigned mood = 0;; mood++) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && fork() == 0) {
			answer_dial(fd, mood);
			_exit(0);
		}
		close(fd);
	}
}

/* With its configuration and a folder as descriptors 3 and 4; learns the port from its first line. */
static void start_agent(const char *program, const char *folder)
{
	char config[128];
	int out[2], state_fd = open(folder, O_RDONLY | O_DIRECTORY);
	int config_fd = open(folder, O_TMPFILE | O_RDWR, 0600);
	char line[128] = "";
	int port;

	assert(state_fd >= 0 && config_fd >= 0 && pipe(out) == 0);
	snprintf(config, sizeof config, "{\"bind\":\"127.0.0.1\",\"port\":0,\"cwd\":\"%s\"}", folder);
	assert(write(config_fd, config, strlen(config)) == (ssize_t)strlen(config)); /* short */
	agent = fork();
	if (agent == 0) {
		int high = fcntl(state_fd, F_DUPFD, 20), low = fcntl(config_fd, F_DUPFD, 20);

		dup2(out[1], 1);
		dup2(low, 3);
		dup2(high, 4);
		execl(program, program, "--unprivileged", (char *)NULL); /* the cast is execl's own end mark */
		_exit(127);
	}
	close(out[1]);
	assert(read(out[0], line, sizeof line - 1) > 0 && sscanf(strrchr(line, ':'), ":%d", &port) == 1);
	address.sin_port = htons((uint16_t)port); /* a port */
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	close(state_fd);
	close(config_fd);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where; /* whatever it is */
	return remove(path);
}

static void remove_folder(const char *folder)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int count, char **args)
{
	static const char claim[] = "{\"op\":\"identify\",\"nonce\":\"n\",\"new_secret\":\"" SECRET
				    "\",\"seed\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"unix_time_ns\":\"1\"}";
	char folder[] = "/tmp/bough-agent-fuzz-XXXXXX";
	int connections = count > 3 ? atoi(args[3]) : 100;
	int before, after = 0, status;

	state = count > 2 ? strtoull(args[2], NULL, 10) : 1;
	assert(count > 1 && mkdtemp(folder) != NULL);
	start_echo();
	start_agent(args[1], folder);
	assert(asks(REQUESTS[0], "unauthorized"));
	assert(asks(claim, "\"restored\":false"));
	before = count_descriptors();
	for (int i = 0; i < connections; i++) {
		disturb();
		if (i % 20 == 0)
			assert(asks(REQUESTS[0], "\"pong\":true"));
	}
	end_processes();
	for (int i = 0; i < 100 && (after = count_descriptors()) > before; i++)
		pause_ms(100);
	assert(asks(REQUESTS[0], "\"pong\":true"));
	assert(waitpid(agent, &status, WNOHANG) == 0);
	kill(agent, SIGTERM);
	waitpid(agent, &status, 0);
	kill(echo, SIGKILL);
	waitpid(echo, &status, 0);
	remove_folder(folder);
	if (after > before) {
		fprintf(stderr, "frames: %d descriptors are left of %d connections\n", after - before, connections);
		return 1;
	}
	printf("frames: %d connections from seed %s\n", connections, count > 2 ? args[2] : "1");
	return 0;
}
