#include "errand_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image_user.h"
#include "user.h"

#define EXCHANGE_FD 3
/* Of a path, in what is said of it. */
#define MAX_SHOWN_BYTES 256

static struct exchange exchange = { .fd = EXCHANGE_FD };

static const struct {
	int error;
	const char *code;
	const char *message; /* NULL: the system's own */
} REFUSALS[] = {
	{ ENOENT, "no_file", NULL },
	{ EEXIST, "file_exists", NULL },
	{ ENOTEMPTY, "file_exists", NULL },
	{ EISDIR, "not_a_file", "it is a folder" },
	{ ENXIO, "not_a_file", "it is neither a file nor a folder" },
	{ ENOTDIR, "not_a_folder", "it, or one on the way to it, is no folder" },
	{ EACCES, "denied", NULL },
	{ EPERM, "denied", NULL },
	{ EROFS, "denied", NULL },
	{ ENOSPC, "no_space", NULL },
	{ EDQUOT, "no_space", NULL },
	{ ENOMEM, "out_of_memory", NULL },
	{ ENOKEY, "no_user", "the image has no such user or group" },
	{ EBADMSG, "bad_archive", "it is no tar archive, or a damaged one" },
	{ ENOTSUP, "bad_archive", "the archive has an entry of a kind that is not known here" },
	{ EXDEV, "file_failed", "it lies on another file system, or one is mounted there" },
	{ ESTALE, "file_failed", "it became shorter while it was read" },
};

/* What was asked for and what became of it, as one knows it of programs: `/srv/a: No such file or directory`. */
static void add_message(struct text *answer, const struct file_request *request, const char *message)
{
	struct text words = { 0 };

	text_add(&words, request->path, strnlen(request->path, MAX_SHOWN_BYTES));
	if (request->to != NULL) {
		text_put(&words, " to ");
		text_add(&words, request->to, strnlen(request->to, MAX_SHOWN_BYTES));
	}
	text_put(&words, ": ");
	text_put(&words, message);
	answer->failed |= words.failed;
	text_quote(answer, words.bytes, words.length);
	text_free(&words);
}

static void add_error(struct text *answer, const struct file_request *request, int error)
{
	const char *code = "file_failed", *message = NULL;

	for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
		if (REFUSALS[i].error != error)
			continue;
		code = REFUSALS[i].code;
		message = REFUSALS[i].message;
	}
	if (message == NULL)
		message = strerror(error);
	text_put(answer, "{\"error\":{\"code\":\"");
	text_put(answer, code);
	text_put(answer, "\",\"message\":");
	/* That the user is not known has nothing to do with the path. */
	if (error == ENOKEY)
		text_quote(answer, message, strlen(message));
	else
		add_message(answer, request, message);
	text_put(answer, "}}");
}

/* From here on it has nothing of the agent's but its memory, and that nobody may look into. */
static int part(int fd)
{
	if (dup2(fd, EXCHANGE_FD) < 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return -errno;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, EXCHANGE_FD + 1, UINT_MAX, 0) != 0)
		return -errno;
#endif
	umask(022);
	return 0;
}

/* That user, or the image's where none is named. */
static int become(const char *name)
{
	struct problem problem; /* its code says it */
	struct user user;
	int error;

	if (name == NULL && !image_user_is_set())
		return 0;
	error = name == NULL ? image_user_find(&user) : user_find(name, &user, &problem);
	return error == 0 ? user_become(&user) : error == -EINVAL || error == -EUSERS ? -ENOKEY : error;
}

_Noreturn void errand_run(int fd, const char *cwd, const struct file_request *request, errand_work work)
{
	struct text answer = { 0 };
	int error = part(fd);

	if (error == 0)
		error = become(request->user);
	/* Without the folder, absolute paths are as good as ever. */
	if (error == 0 && chdir(cwd) != 0)
		errno = 0;
	if (error == 0)
		error = work(request, &exchange, &answer);
	if (error != 0) {
		text_free(&answer);
		add_error(&answer, request, -error);
	}
	if (error != -ECANCELED)
		exchange_tell(&exchange, FRAME_END, &answer);
	_exit(0);
}
