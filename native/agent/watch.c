#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "walk.h"
#include "watched.h"

#define EVENTS (IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_EXCL_UNLINK)
#define SELF_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF)
/* A message takes CHUNK_BYTES; a change takes a path in base64 and a few words. */
#define FULL_BYTES (CHUNK_BYTES / 2)

struct watching {
	struct walk walk;
	struct exchange *exchange;
	const char *root;
	const char *inside; /* where a walk began below the root */
	bool recursive, tells; /* the walk's finds are news */
	struct watched watched;
	struct text changes;
};

static int send_changes(struct watching *watching)
{
	if (watching->changes.length == 0 && !watching->changes.failed)
		return 0;
	text_put(&watching->changes, "]}");
	return exchange_tell(watching->exchange, FRAME_EVENT, &watching->changes);
}

static int tell(struct watching *watching, const char *type, const char *path, bool folder)
{
	struct text *changes = &watching->changes;

	text_put(changes, changes->length == 0 ? "{\"changes\":[{\"type\":\"" : ",{\"type\":\"");
	text_put(changes, type);
	text_put(changes, "\",\"path\":");
	text_base64(changes, path, strlen(path));
	text_put(changes, folder ? ",\"folder\":true}" : "}");
	return changes->length >= FULL_BYTES ? send_changes(watching) : 0;
}

/* What is not a change, after those that came before it. */
static int tell_event(struct watching *watching, const char *event, const char *path)
{
	struct text text = { 0 };
	int error = send_changes(watching);

	if (error != 0)
		return error;
	text_put(&text, event);
	if (path != NULL) {
		text_base64(&text, path, strlen(path));
		text_put(&text, "}");
	}
	return exchange_tell(watching->exchange, FRAME_EVENT, &text);
}

/* `first/second`, with whichever is empty left out. -ENAMETOOLONG. */
static int join(char *to, const char *first, const char *second)
{
	const char *between = *first == 0 || *second == 0 ? "" : "/";

	return snprintf(to, PATH_MAX, "%s%s%s", first, between, second) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* It went away, or gave way to something else, of which there is an event of its own. */
static bool is_no_folder(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* What went away meanwhile, or nobody may look into, has no changes to tell; what there is no room for is said. */
static int watch_folder(struct watching *watching, const char *path)
{
	char at[PATH_MAX];
	uint32_t events = EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW;
	int error = join(at, watching->root, path);

	if (error == 0)
		error = watched_add(&watching->watched, at, path, events);
	if (error == -ENOSPC || error == -ENAMETOOLONG || error == -EACCES)
		return tell_event(watching, "{\"unwatched\":", path);
	return is_no_folder(-error) ? 0 : error;
}

static int found(struct walk *walk, int folder_fd, const char *name, const struct stat *info, bool unreadable)
{
	struct watching *watching = owner_of(walk, struct watching, walk);
	char path[PATH_MAX];
	int error = join(path, watching->inside, walk->path.bytes);

	(void)folder_fd; /* it is watched by its path */
	(void)name;
	(void)unreadable;
	if (error == 0 && watching->tells)
		error = tell(watching, "created", path, S_ISDIR(info->st_mode));
	return error == 0 && S_ISDIR(info->st_mode) ? watch_folder(watching, path) : error;
}

/* Watches what is below a folder that is watched. */
static int watch_below(struct watching *watching, const char *path, bool tells)
{
	char at[PATH_MAX];
	int fd, error = join(at, watching->root, path);

	watching->inside = path;
	watching->tells = tells;
	if (error == 0) {
		fd = open(at, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | (*path == 0 ? 0 : O_NOFOLLOW));
		/* That nobody may look into it was said when it was to be watched. */
		error = fd >= 0 ? walk_folder(&watching->walk, fd) : is_no_folder(errno) || errno == EACCES ? 0 : -errno;
	}
	return error == -ELOOP || error == -ENAMETOOLONG ? tell_event(watching, "{\"unwatched\":", path) : error;
}

/* A folder that appeared: what is in it by now was not seen to come. */
static int welcome(struct watching *watching, const char *path)
{
	int error = watch_folder(watching, path);

	return error != 0 ? error : watch_below(watching, path, true);
}

static int take_in_folder(struct watching *watching, const struct inotify_event *event, const char *path)
{
	bool folder = (event->mask & IN_ISDIR) != 0, appeared = (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0;
	bool vanished = (event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0;
	const char *type = appeared ? "created" : vanished ? "removed" : (event->mask & IN_MODIFY) != 0 ? "written" : "metadata";
	int error = tell(watching, type, path, folder);

	if (vanished && folder)
		watched_drop(&watching->watched, path);
	return error == 0 && appeared && folder && watching->recursive ? welcome(watching, path) : error;
}

/* 1 when what is watched is gone. */
static int take(struct watching *watching, const struct inotify_event *event)
{
	const char *folder = watched_path(&watching->watched, event->wd);
	char path[PATH_MAX];
	int error;

	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		/* First what could not be heard of is watched: from what is said then on, all is told again. */
		error = watching->recursive ? watch_below(watching, "", false) : 0;
		return error != 0 ? error : tell_event(watching, "{\"missed\":true}", NULL);
	}
	if ((event->mask & IN_IGNORED) != 0) {
		bool root = folder != NULL && *folder == 0;

		watched_gone(&watching->watched, event->wd);
		return root ? 1 : 0;
	}
	if (folder == NULL)
		return 0;
	if ((event->mask & SELF_EVENTS) != 0)
		return 1; /* only the root is asked for these */
	error = join(path, folder, event->len > 0 ? event->name : "");
	return error != 0 ? tell_event(watching, "{\"unwatched\":", folder) : take_in_folder(watching, event, path);
}

/* Waits for changes. 0, or -ECANCELED: without the agent nobody would ever end it in a tree in which nothing changes. */
static int await_changes(const struct watching *watching)
{
	struct pollfd fds[2] = { { .fd = watching->watched.fd, .events = POLLIN }, { .fd = watching->exchange->fd } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return (fds[1].revents & (POLLHUP | POLLERR)) != 0 ? -ECANCELED : 0;
}

static int take_all(struct watching *watching)
{
	/* As inotify(7) has it: whole events, each with a name of at most NAME_MAX. */
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t length = read(watching->watched.fd, buffer, sizeof buffer);
	int error, state = 0;

	if (length < 0)
		return errno == EINTR ? 0 : -errno;
	for (ssize_t at = 0; state == 0 && at < length;) {
		/* Aligned, and whole: the kernel gives no part of one. */
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		at += (ssize_t)(sizeof *event + event->len); /* at most the buffer */
		state = take(watching, event);
	}
	error = state < 0 ? state : send_changes(watching);
	return error != 0 ? error : state;
}

static int begin(struct watching *watching)
{
	struct text event = { 0 };
	int error = watched_add(&watching->watched, watching->root, "", EVENTS | SELF_EVENTS);

	if (error == 0 && watching->recursive)
		error = watch_below(watching, "", false);
	/* The disk is not what there is no room on. */
	if (error != 0)
		return error == -ENOSPC ? -EMFILE : error;
	text_put(&event, "{\"watching\":");
	text_number(&event, watching->watched.count);
	text_put(&event, "}");
	return exchange_tell(watching->exchange, FRAME_EVENT, &event);
}

int file_watch(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	/* For ever in a process of its own, which ends with it: too large for a stack, and nothing to give back. */
	static struct watching watching;
	int state;

	watching = (struct watching){ .walk = { .found = found, .levels = request->recursive ? WALK_LEVELS : 1 },
				      .exchange = exchange, .root = request->path, .recursive = request->recursive,
				      .watched.fd = inotify_init1(IN_CLOEXEC) };
	state = watching.watched.fd < 0 ? -errno : begin(&watching);
	while (state == 0 && (state = await_changes(&watching)) == 0)
		state = take_all(&watching);
	text_put(answer, "{}");
	return state < 0 ? state : 0;
}
