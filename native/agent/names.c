#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define OWN_ADDRESS "127.0.1.1"
#define MAX_HOSTS_BYTES (1u << 20)

static int own_folder_fd = -1;

void names_open(int folder_fd)
{
	own_folder_fd = folder_fd;
}

static int write_new(int folder_fd, const char *name, const struct text *text)
{
	int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) != 0 || write(fd, text->bytes, text->length) != (ssize_t)text->length)
		error = -ENOSPC;
	close(fd);
	return error;
}

static int replace(const char *name, const struct text *text)
{
	int folder_fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char temporary[32];
	int error;

	if (folder_fd < 0)
		return -errno;
	snprintf(temporary, sizeof temporary, ".bough.%s", name);
	unlinkat(folder_fd, temporary, 0);
	error = write_new(folder_fd, temporary, text);
	if (error == 0 && renameat(folder_fd, temporary, folder_fd, name) != 0)
		error = -errno;
	if (error != 0)
		unlinkat(folder_fd, temporary, 0);
	close(folder_fd);
	return error;
}

/*
 * Most children's files are of their source's size, and a write in place is a small part of the work: no block and no name of the image's
 * disk changes. Returns 0 if the file has the text now.
 */
static int overwrite(const char *name, const struct text *text)
{
	char path[32];
	struct stat found;
	int fd, error = -EINVAL;

	snprintf(path, sizeof path, "/etc/%s", name);
	fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* One with another name is somebody else's, too. */
	if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1 &&
	    found.st_size == (off_t)text->length) /* far below the largest offset */
		error = pwrite(fd, text->bytes, text->length, 0) == (ssize_t)text->length ? 0 : -EIO; /* a short text */
	close(fd);
	return error;
}

/* A new file each time: the one before may be mounted still. */
static void mount_over(const char *name, const struct text *text)
{
	char source[64], target[64];
	int fd;

	unlinkat(own_folder_fd, name, 0);
	if (write_new(own_folder_fd, name, text) != 0)
		return;
	fd = openat(own_folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
	snprintf(target, sizeof target, "/etc/%s", name);
	if (mount(source, target, NULL, MS_BIND, NULL) != 0)
		errno = 0; /* see the header: stale, and no harm */
	close(fd);
}

static void put(const char *name, const struct text *text)
{
	if (!text->failed && overwrite(name, text) != 0 && replace(name, text) != 0)
		mount_over(name, text);
}

static int read_hosts(struct text *hosts)
{
	int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t count = 1;

	if (fd < 0)
		return -errno;
	while (count > 0 && hosts->length <= MAX_HOSTS_BYTES && text_reserve(hosts, 4096)) {
		count = read(fd, hosts->bytes + hosts->length, 4096);
		if (count > 0)
			hosts->length += (size_t)count;
	}
	close(fd);
	return count == 0 ? 0 : -EFBIG;
}

/* Whether the line gives our own address to nothing but that name. */
static int is_own_line(const char *line, size_t length, const char *hostname)
{
	size_t address = strlen(OWN_ADDRESS), name = strlen(hostname);
	size_t at = address;

	if (length <= address || memcmp(line, OWN_ADDRESS, address) != 0 || (line[at] != ' ' && line[at] != '\t'))
		return 0;
	while (at < length && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return length - at == name && memcmp(line + at, hostname, name) == 0;
}

static void add_own_line(struct text *hosts, const char *hostname)
{
	text_put(hosts, OWN_ADDRESS " ");
	text_put(hosts, hostname);
	text_put(hosts, "\n");
}

static void put_hosts(const char *before, const char *hostname)
{
	struct text old = { 0 }, hosts = { 0 };
	int error = read_hosts(&old);
	size_t at = 0;

	/* What cannot be read now is kept as it is; what never can be gives way. */
	if (error == -EFBIG || error == -ENOMEM || error == -EMFILE || error == -ENFILE) {
		text_free(&old);
		return;
	}
	if (old.length == 0)
		text_put(&hosts, "127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
	add_own_line(&hosts, hostname);
	while (at < old.length) {
		const char *line = old.bytes + at;
		const char *end = memchr(line, '\n', old.length - at);
		size_t length = end == NULL ? old.length - at : (size_t)(end - line);

		if (!is_own_line(line, length, before) && !is_own_line(line, length, hostname)) {
			text_add(&hosts, line, length);
			text_put(&hosts, "\n");
		}
		at += length + 1;
	}
	put("hosts", &hosts);
	text_free(&old);
	text_free(&hosts);
}

int names_set_hostname(const char *hostname)
{
	char before[65] = "";
	struct text line = { 0 };

	gethostname(before, sizeof before - 1);
	if (sethostname(hostname, strlen(hostname)) != 0)
		return -errno;
	text_put(&line, hostname);
	text_put(&line, "\n");
	put("hostname", &line);
	text_free(&line);
	put_hosts(before, hostname);
	return 0;
}

void names_set_machine_id(const char *machine_id)
{
	struct text line = { 0 };

	text_put(&line, machine_id);
	text_put(&line, "\n");
	put("machine-id", &line);
	text_free(&line);
}
