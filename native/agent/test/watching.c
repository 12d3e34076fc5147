/*
 * Seeded model test of watch: a client that keeps a picture of a tree, of nothing but what it is told, has the tree as it is. Files and folders
 * are made, renamed (over one another, out of it and into it, too) and removed, faster than they are heard of, in a tree that is watched with all below it; between
 * rounds the picture is compared with what is there. Then the kernel's queue overflows, which is said, and the watch goes on; at last what is
 * watched is removed, and the watch ends.
 *
 *   watching SEED ROUNDS
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "errand.h"
#include "json.h"
#include "watch.h"

#define NAMES 6
#define LEVELS 4
#define CHANGES 300
#define MAX_PATHS 4096
#define PATH_BYTES 256

/* A sorted list of paths below the root. */
struct picture {
	char paths[MAX_PATHS][PATH_BYTES];
	int count;
};

static char base[] = "/tmp/bough-watching-XXXXXX";
static char root[64], outside[64];
static struct picture told, there;
static unsigned long long state;

static unsigned random_below(unsigned limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % limit; /* the upper bits are the good ones */
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static void forget(struct picture *picture, const char *path)
{
	int kept = 0;

	for (int i = 0; i < picture->count; i++)
		if (!is_at_or_below(picture->paths[i], path))
			memmove(picture->paths[kept++], picture->paths[i], PATH_BYTES);
	picture->count = kept;
}

static void note(struct picture *picture, const char *path)
{
	for (int i = 0; i < picture->count; i++)
		if (strcmp(picture->paths[i], path) == 0)
			return;
	assert(picture->count < MAX_PATHS && strlen(path) < PATH_BYTES);
	strcpy(picture->paths[picture->count++], path);
}

static struct picture *listed;

static int look_at(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind; /* whatever it is */
	if (where->level > 0)
		note(listed, path + strlen(root) + 1);
	return 0;
}

static void list(struct picture *picture)
{
	listed = picture;
	picture->count = 0;
	assert(nftw(root, look_at, 16, FTW_PHYS) == 0);
}

/* Both say the same. */
static void compare_pictures(void)
{
	list(&there);
	qsort(told.paths, (size_t)told.count, PATH_BYTES, compare); /* not negative */
	qsort(there.paths, (size_t)there.count, PATH_BYTES, compare);
	for (int i = 0; i < told.count || i < there.count; i++)
		if (i >= told.count || i >= there.count || strcmp(told.paths[i], there.paths[i]) != 0) {
			fprintf(stderr, "watching: told %s, there is %s\n", i < told.count ? told.paths[i] : "nothing",
				i < there.count ? there.paths[i] : "nothing");
			abort();
		}
}

static void random_path(char *path, size_t room)
{
	const char *from = random_below(8) == 0 ? outside : root;
	size_t length = (size_t)snprintf(path, room, "%s", from); /* it fits */

	for (unsigned level = 1 + random_below(LEVELS); level > 0; level--)
		length += (size_t)snprintf(path + length, room - length, "/%u", random_below(NAMES)); /* as well */
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where; /* whatever it is */
	return remove(path);
}

/* Most come to nothing, for what they need is not there or in the way. */
static void change_something(void)
{
	char path[PATH_BYTES], other[PATH_BYTES];
	int fd;

	random_path(path, sizeof path);
	random_path(other, sizeof other);
	switch (random_below(8)) {
	case 0:
	case 1:
	case 2:
		if (mkdir(path, 0755) != 0)
			errno = 0;
		break;
	case 3:
	case 4:
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		if (fd >= 0)
			close(fd);
		break;
	case 5:
	case 6:
		if (rename(path, other) != 0)
			errno = 0;
		break;
	default:
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
}

/* Takes one change into the picture. True if it is that the awaited path, or what begins like it, was created. */
static bool take_change(struct json change, const char *awaited)
{
	struct json type;
	struct problem problem;
	unsigned char *bytes = NULL;
	char path[PATH_BYTES];
	size_t length = 0;

	assert(json_member(change, "type", &type) == 0);
	assert(field_base64(change, "path", 0, &bytes, &length, &problem) == 0 && length < sizeof path);
	memcpy(path, bytes, length);
	path[length] = 0;
	free(bytes);
	if (strncmp(type.at, "\"removed\"", 9) == 0)
		forget(&told, path);
	if (strncmp(type.at, "\"created\"", 9) != 0)
		return false;
	note(&told, path);
	return strncmp(path, awaited, strlen(awaited)) == 0;
}

/* Takes what is told, until something of that name was created. Whether something was missed by then. */
static bool await_created(int client_fd, const char *awaited)
{
	static char text[CHUNK_BYTES + 1];
	bool came = false, missed = false;

	while (!came) {
		struct json event, changes, change;
		size_t length;

		assert(await_frame(client_fd, text, sizeof text, &length) == FRAME_EVENT);
		assert(json_check(text, length, &event) == 0);
		if (json_member(event, "changes", &changes) == 0)
			for (struct json_items items = json_items(changes); json_next(&items, NULL, &change);)
				came |= take_change(change, awaited);
		else
			missed |= json_member(event, "missed", &changes) == 0;
	}
	return missed;
}

static void put_file(const char *path)
{
	char at[PATH_BYTES];
	int fd;

	snprintf(at, sizeof at, "%s/%s", root, path);
	fd = open(at, O_WRONLY | O_CREAT, 0644);
	assert(fd >= 0);
	close(fd);
}

static void make_folder(const char *path)
{
	char at[PATH_BYTES];

	snprintf(at, sizeof at, "%s/%s", root, path);
	assert(mkdir(at, 0755) == 0);
}

static void change_a_lot(int client_fd, int round)
{
	char mark[32];

	for (int i = 0; i < CHANGES; i++)
		change_something();
	snprintf(mark, sizeof mark, "mark-%d", round);
	put_file(mark);
	assert(!await_created(client_fd, mark));
	compare_pictures();
}

static long queue_limit(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long limit = 0;

	assert(file != NULL && fscanf(file, "%ld", &limit) == 1);
	fclose(file);
	return limit;
}

/* In turn, since what happens twice in a row to the same is told once. */
static void fill_queue(void)
{
	const char *const names[2] = { "one", "other" };
	int folder_fd = open(root, O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < 2; i++)
		put_file(names[i]);
	for (long i = 3 * queue_limit(); i > 0; i--)
		assert(utimensat(folder_fd, names[i % 2], NULL, 0) == 0);
	close(folder_fd);
}

/* More may be missed while the queue is still read: once more, then, until it is told. */
static void put_again(struct timer *timer)
{
	static int count;
	char name[32];

	snprintf(name, sizeof name, "again-%d", ++count);
	put_file(name);
	timer_start(timer, 50);
}

static void overflow(int client_fd)
{
	struct timer again = { .expired = put_again };

	fill_queue();
	make_folder("during");
	make_folder("during/deep");
	timer_start(&again, 50);
	assert(await_created(client_fd, "again-"));
	timer_stop(&again);
	put_file("during/deep/after");
	assert(!await_created(client_fd, "during/deep/after"));
	/* Who is told that something was missed looks for itself. */
	list(&told);
}

/* An errand that its agent left, and in whose tree nothing changes, ends by itself. */
static void lose_agent(void)
{
	const struct file_request request = { .path = base };
	char event[256];
	int client_fd, status;
	pid_t agent;

	assert(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	agent = fork();
	if (agent == 0) {
		assert(errand_start(open_session(&client_fd), &request, file_watch, false) == 0);
		assert(await_frame(client_fd, event, sizeof event, NULL) == FRAME_EVENT);
		_exit(0);
	}
	for (int ended = 0; ended < 2; ended++)
		assert(wait(&status) > 0 && status == 0);
}

int main(int count, char **args)
{
	static char answer[CHUNK_BYTES + 1];
	const struct file_request request = { .path = root, .recursive = true };
	int client_fd, rounds = count > 2 ? atoi(args[2]) : 10;
	struct session *session;

	state = count > 1 ? strtoull(args[1], NULL, 10) : 1;
	alarm(300); /* what is never told would be waited for */
	assert(mkdtemp(base) != NULL);
	snprintf(root, sizeof root, "%s/in", base);
	snprintf(outside, sizeof outside, "%s/out", base);
	assert(mkdir(root, 0755) == 0 && mkdir(outside, 0755) == 0 && loop_open() == 0);
	errands_open("/");
	lose_agent();
	for (int i = 0; i < CHANGES; i++)
		change_something();
	session = open_session(&client_fd);
	assert(errand_start(session, &request, file_watch, false) == 0);
	assert(await_frame(client_fd, answer, sizeof answer, NULL) == FRAME_EVENT && strstr(answer, "watching") != NULL);
	list(&told);
	for (int round = 0; round < rounds; round++)
		change_a_lot(client_fd, round);
	overflow(client_fd);
	for (int round = rounds; round < 2 * rounds; round++)
		change_a_lot(client_fd, round);
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	await_end(client_fd, answer, sizeof answer);
	assert(strcmp(answer, "{}") == 0);
	close_session(session, client_fd);
	printf("watching: %d rounds from seed %s\n", 2 * rounds, count > 1 ? args[1] : "1");
	return 0;
}
