#include "file_look.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "entry.h"
#include "walk.h"

/* A message takes CHUNK_BYTES, and no entry is as long as the rest of it: two paths in base64 at most. */
#define FULL_BYTES (CHUNK_BYTES / 2)

static int describe_at(const char *path, int flags, struct text *answer)
{
	struct stat info;
	const struct entry entry = { .path = path, .folder_fd = AT_FDCWD, .name = path, .info = &info };

	if (fstatat(AT_FDCWD, path, &info, flags) != 0)
		return -errno;
	text_put(answer, "{\"file\":");
	entry_describe(&entry, answer);
	text_put(answer, "}");
	return 0;
}

int answer_entry(const char *path, struct text *answer)
{
	return describe_at(path, AT_SYMLINK_NOFOLLOW, answer);
}

int file_stat(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	(void)exchange; /* all that is said is the answer */
	return describe_at(request->path, request->follow ? 0 : AT_SYMLINK_NOFOLLOW, answer);
}

struct listing {
	struct walk walk;
	struct exchange *exchange;
	struct text event;
	long long count;
};

static int send_entries(struct listing *listing)
{
	if (listing->event.length == 0 && !listing->event.failed)
		return 0;
	text_put(&listing->event, "]}");
	return exchange_tell(listing->exchange, FRAME_EVENT, &listing->event);
}

static int list_found(struct walk *walk, int folder_fd, const char *name, const struct stat *info, bool unreadable)
{
	struct listing *listing = owner_of(walk, struct listing, walk);
	const struct entry entry = {
		.path = walk->path.bytes, .folder_fd = folder_fd, .name = name, .info = info, .unreadable = unreadable
	};

	text_put(&listing->event, listing->event.length == 0 ? "{\"entries\":[" : ",");
	entry_describe(&entry, &listing->event);
	listing->count++;
	return listing->event.length >= FULL_BYTES ? send_entries(listing) : 0;
}

int file_list(const struct file_request *request, struct exchange *exchange, struct text *answer)
{
	struct listing listing = { .walk = { .found = list_found, .levels = request->depth }, .exchange = exchange };
	int fd = open(request->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	int error = fd < 0 ? -errno : walk_folder(&listing.walk, fd);

	if (error == 0)
		error = send_entries(&listing);
	text_put(answer, "{\"entries\":");
	text_number(answer, listing.count);
	text_put(answer, "}");
	return error;
}
