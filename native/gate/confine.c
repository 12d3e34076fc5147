/*
 * confine.c - `bough-confine NAME PRELOAD [namespaced] [read=PATH | write=PATH]... -- PROGRAM [ARGUMENT]...`: becomes PROGRAM, behind Landlock.
 *
 * What becomes of it opens no file but below these paths, traces nobody, and, where the kernel knows how, makes no TCP connection, listens on no TCP
 * port, reaches no abstract socket and signals nobody outside. That is for good, and for all its threads, of which there are at most 1,024. A network
 * with nothing in it is for whoever starts it to make, so that TCP is nowhere to be had.
 *
 * It is the last program on the way to QEMU, which alone gets PRELOAD. NAME is for whoever looks for VMMs meanwhile. A path that is not there is
 * passed over. Invariant: where less than that can be had, nothing is run (status 125, and why on stderr).
 *
 * Landlock knows nothing of Unix sockets of the file system, nor of chmod(): modes of folders keep others out, if PROGRAM is nobody's user. Where it is
 * the user of others, `namespaced` does: nothing but the paths is there, and no network (namespace.h), and it signals nobody else (signals.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "namespace.h"
#include "signals.h"

#define STATUS_NOT_RUN 125
/* Threads and processes of the user, who has nothing but this VMM: far more than one of 64 processors makes. */
#define TASKS_MOST 1024

/* As the kernel has them; the headers of Debian 12 are older than some. All architectures have the same numbers. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446
#define FLAG_VERSION 1u
#define RULE_PATH 1

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SOCK (1ull << 9)
#define FS_TRUNCATE (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define FS_ALL_OF_2 ((1ull << 14) - 1)
#define NET_BIND_TCP (1ull << 0)
#define NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT_SOCKET (1ull << 0)
#define SCOPE_SIGNAL (1ull << 1)

/* Debian 12 has 2 (Linux 5.19). Truncation came with 3, until when modes alone decide about it; TCP with 4, rights over devices with 5. */
#define VERSION_LEAST 2
#define VERSION_TRUNCATE 3
#define VERSION_TCP 4
#define VERSION_DEVICES 5
#define VERSION_SCOPES 6

struct ruleset {
	uint64_t fs, net, scoped;
};
struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

#define READ (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
#define WRITE (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_FILE | FS_MAKE_REG | FS_MAKE_SOCK | FS_IOCTL_DEV)
#define OF_A_FILE (FS_EXECUTE | FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

static int fail(const char *what, const char *whom)
{
	fprintf(stderr, "bough-confine: %s%s: %s\n", what, whom, strerror(errno));
	return STATUS_NOT_RUN;
}

/* What the kernel can be asked to forbid; handled->fs is 0 where that is too little. */
static long handled_by_kernel(struct ruleset *handled)
{
	long version = syscall(CALL_CREATE_RULESET, NULL, 0, FLAG_VERSION);

	*handled = (struct ruleset){0};
	if (version < VERSION_LEAST)
		return version;
	handled->fs = FS_ALL_OF_2 | (version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0) |
		      (version >= VERSION_DEVICES ? FS_IOCTL_DEV : 0);
	handled->net = version >= VERSION_TCP ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
	handled->scoped = version >= VERSION_SCOPES ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0;
	return version;
}

static int allow_path(int ruleset_fd, const struct ruleset *handled, const char *path, uint64_t allowed)
{
	struct stat about;
	struct path_rule rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};

	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(rule.parent_fd, &about) != 0)
		return -1;
	rule.allowed = allowed & handled->fs & (S_ISDIR(about.st_mode) ? ~0ull : OF_A_FILE);
	if (syscall(CALL_ADD_RULE, ruleset_fd, RULE_PATH, &rule, 0) != 0)
		return -1;
	return close(rule.parent_fd);
}

static int allow(int ruleset_fd, const struct ruleset *handled, const char *rule)
{
	if (strncmp(rule, "read=", 5) == 0)
		return allow_path(ruleset_fd, handled, rule + 5, READ);
	if (strncmp(rule, "write=", 6) == 0)
		return allow_path(ruleset_fd, handled, rule + 6, WRITE);
	errno = EINVAL;
	return -1;
}

static int confine(char **rules)
{
	struct ruleset handled;
	long version = handled_by_kernel(&handled);
	int ruleset_fd;

	if (version >= 0 && handled.fs == 0) {
		fprintf(stderr, "bough-confine: Landlock is of version %ld here, and %d is needed (Linux 5.19)\n", version,
			VERSION_LEAST);
		return STATUS_NOT_RUN;
	}
	ruleset_fd = version < 0 ? -1 : (int)syscall(CALL_CREATE_RULESET, &handled, sizeof(handled), 0);
	if (ruleset_fd < 0)
		return fail("Landlock cannot be used", "");
	for (; *rules; rules++)
		if (allow(ruleset_fd, &handled, *rules) != 0)
			return fail("cannot allow ", *rules);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(CALL_RESTRICT_SELF, ruleset_fd, 0) != 0)
		return fail("cannot be confined", "");
	close(ruleset_fd);
	return 0;
}

static int hide_all_but(char **rules)
{
	const char *step;
	int error = namespace_enter(rules, &step);

	if (!error)
		return 0;
	errno = -error;
	return fail("cannot have namespaces of its own: ", step);
}

int main(int argc, char **argv)
{
	const struct rlimit tasks = {TASKS_MOST, TASKS_MOST};
	bool is_namespaced = argc > 3 && strcmp(argv[3], "namespaced") == 0;
	char **rules = argv + (is_namespaced ? 4 : 3);
	int at = 3, status;

	while (at < argc && strcmp(argv[at], "--") != 0)
		at++;
	if (at + 1 >= argc) {
		fprintf(stderr, "bough-confine: no program\n");
		return STATUS_NOT_RUN;
	}
	argv[at] = NULL; /* the end of the rules */
	status = is_namespaced ? hide_all_but(rules) : 0;
	status = status ? status : confine(rules);
	if (status != 0)
		return status;
	if (is_namespaced && (errno = -signals_confine()) != 0)
		return fail("cannot be kept from signalling others", "");
	if (setrlimit(RLIMIT_NPROC, &tasks) != 0)
		return fail("cannot limit its threads", "");
	if (argv[2][0] != '\0' && setenv("LD_PRELOAD", argv[2], 1) != 0)
		return fail("cannot preload ", argv[2]);
	execv(argv[at + 1], argv + at + 1);
	return fail("cannot run ", argv[at + 1]);
}
