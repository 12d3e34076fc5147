#include "entry.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "folder";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
	case S_IFBLK:
		return "device";
	default:
		return "other";
	}
}

static void add_number(struct text *text, const char *name, long long number)
{
	text_put(text, ",\"");
	text_put(text, name);
	text_put(text, "\":");
	text_number(text, number);
}

static void add_etag(struct text *text, const struct stat *info)
{
	char etag[128];

	/* The casts are how %llx takes numbers of any width. */
	snprintf(etag, sizeof etag, "%llx-%llx-%llx-%llx-%llx", (unsigned long long)info->st_ino,
		 (unsigned long long)info->st_size, (unsigned long long)info->st_mtim.tv_sec,
		 (unsigned long long)info->st_mtim.tv_nsec,
		 (unsigned long long)info->st_ctim.tv_sec * 1000000000ull + (unsigned long long)info->st_ctim.tv_nsec);
	text_put(text, ",\"etag\":\"");
	text_put(text, etag);
	text_put(text, "\"");
}

static void add_target(struct text *text, const struct entry *entry)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(entry->folder_fd, entry->name, target, sizeof target);

	if (length < 0)
		return; /* it is gone, or nobody may see it: then it is a link without a target */
	text_put(text, ",\"target\":");
	text_base64(text, target, (size_t)length); /* not negative */
}

void entry_describe(const struct entry *entry, struct text *text)
{
	const struct stat *info = entry->info;

	text_put(text, "{\"path\":");
	text_base64(text, entry->path, strlen(entry->path));
	text_put(text, ",\"type\":\"");
	text_put(text, type_of(info->st_mode));
	text_put(text, "\"");
	/* A size is below 2^63. */
	add_number(text, "size", (long long)info->st_size);
	add_number(text, "mode", info->st_mode & 07777);
	add_number(text, "uid", info->st_uid);
	add_number(text, "gid", info->st_gid);
	add_number(text, "modified_at_unix", (long long)info->st_mtim.tv_sec); /* as text_number() takes it */
	add_etag(text, info);
	if (S_ISLNK(info->st_mode))
		add_target(text, entry);
	if (entry->unreadable)
		text_put(text, ",\"unreadable\":true");
	text_put(text, "}");
}
