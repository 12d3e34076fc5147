#include "errand.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "errand_process.h"
#include "protection.h"
#include "spawn.h"

/* As many calls as a daemon makes at a time. */
#define MAX_ERRANDS 128
/* For a writer to take back what it had begun. */
#define TAKE_BACK_MS 5000

struct errand {
	struct work work;
	struct source source; /* our end of the exchange */
	struct source exit;
	struct timer deadline;
	struct session *session; /* NULL when nobody waits for it any more */
	struct errand *next;
	uint32_t left_bytes; /* of the frame that is being passed on */
	pid_t pid;
	bool takes_input, input_ended, reaped;
};

static struct errand *errands;
static size_t errand_count;
static const char *default_cwd;

void errands_open(const char *cwd)
{
	default_cwd = cwd;
}

/* Nobody waits for it any more. */
static void leave(struct errand *errand)
{
	errand->session = NULL;
	source_close(&errand->source);
	if (!errand->reaped && errand->takes_input)
		timer_start(&errand->deadline, TAKE_BACK_MS);
	else if (!errand->reaped)
		kill(errand->pid, SIGKILL);
}

static void expired(struct timer *timer)
{
	kill(owner_of(timer, struct errand, deadline)->pid, SIGKILL);
}

static void gone(struct work *work, bool cancelled)
{
	(void)cancelled; /* without its client it comes to nothing in any case */
	leave(owner_of(work, struct errand, work));
}

static void watch(struct errand *errand, bool has_more_input)
{
	bool reads = session_usable(errand->session) && !session_sending(errand->session);

	source_watch(&errand->source, (reads ? EPOLLIN : 0) | (has_more_input ? EPOLLOUT : 0));
}

static void ends(struct errand *errand, const char *object, size_t length)
{
	struct session *session = errand->session;
	struct text answer = { 0 };

	text_add(&answer, object, length);
	leave(errand);
	session_end(session, &answer);
}

/* One that was killed, for want of memory or by its user, has said nothing. */
static void broke(struct errand *errand)
{
	struct session *session = errand->session;

	leave(errand);
	session_fail(session, "file_failed", "the process that worked on the files was killed");
}

/* Passes on one thing that the errand says, if the client takes it: before the next, others have their turn. */
static void forward(struct errand *errand)
{
	static char payload[CHUNK_BYTES];
	enum frame_kind kind = FRAME_END;
	ssize_t count;

	if (!session_usable(errand->session) || session_sending(errand->session))
		return;
	count = message_receive(errand->source.fd, &kind, payload, sizeof payload);
	if (count == -EAGAIN)
		return;
	if (count < 0)
		broke(errand);
	else if (kind == FRAME_END)
		ends(errand, payload, (size_t)count); /* not negative */
	else
		session_send(errand->session, kind, payload, (size_t)count); /* likewise */
}

/* 1; -EAGAIN when the errand has no room; 0 when the piece is lost, and with it the errand. */
static int give(struct errand *errand, const char *bytes, size_t length)
{
	struct session *session = errand->session;
	int error = message_send(errand->source.fd, FRAME_FILE, bytes, length);
	char message[80];

	/* An errand that has ended already takes nothing more, and has said why. */
	if (error == 0 || error == -EPIPE || error == -ECONNRESET)
		return 1;
	if (error == -EAGAIN)
		return error;
	leave(errand);
	snprintf(message, sizeof message, "what was sent could not be passed on: %s", strerror(-error));
	session_fail(session, "file_failed", message);
	return 0;
}

/* Looks at the next frame's header: 1; 0 when more has to come or it is over; -EAGAIN when the errand has no room. */
static int begin_frame(struct errand *errand)
{
	const struct text *input = &errand->session->input;
	int given = 1;
	uint32_t length;

	if (input->length < FRAME_HEADER_BYTES)
		return 0;
	length = frame_length(input->bytes);
	if (input->bytes[0] != FRAME_FILE || length > MAX_FILE_BYTES || errand->input_ended) {
		session_close(errand->session);
		return 0;
	}
	if (length == 0)
		given = give(errand, "", 0);
	if (given != 1)
		return given;
	errand->input_ended = length == 0;
	errand->left_bytes = length;
	session_input_taken(errand->session, FRAME_HEADER_BYTES);
	return 1;
}

/* Passes one piece of input on; as begin_frame(). */
static int pass_on(struct errand *errand)
{
	const struct text *input = &errand->session->input;
	size_t length = input->length < errand->left_bytes ? input->length : errand->left_bytes;
	int given;

	if (errand->left_bytes == 0)
		return begin_frame(errand);
	length = length < CHUNK_BYTES ? length : CHUNK_BYTES;
	if (length == 0)
		return 0;
	given = give(errand, input->bytes, length);
	if (given != 1)
		return given;
	errand->left_bytes -= (uint32_t)length; /* no more than there was */
	session_input_taken(errand->session, length);
	return 1;
}

static void take_input(struct work *work)
{
	struct errand *errand = owner_of(work, struct errand, work);
	int passed = 1;

	while (errand->session != NULL && passed == 1)
		passed = pass_on(errand);
	if (errand->session != NULL)
		watch(errand, passed == -EAGAIN);
}

static void sent(struct work *work)
{
	struct errand *errand = owner_of(work, struct errand, work);

	forward(errand);
	if (errand->session != NULL)
		watch(errand, (errand->source.events & EPOLLOUT) != 0);
}

static void ready(struct source *source, uint32_t events)
{
	struct errand *errand = owner_of(source, struct errand, source);

	if ((events & EPOLLOUT) != 0)
		take_input(&errand->work);
	if (errand->session != NULL && (events & ~(uint32_t)EPOLLOUT) != 0)
		sent(&errand->work);
}

static void exited(struct source *source, uint32_t events)
{
	struct errand *errand = owner_of(source, struct errand, exit);
	int signal;

	(void)events; /* only one kind is asked for; how it ended, its last message has said */
	reap(errand->pid, &signal);
	errand->reaped = true;
	timer_stop(&errand->deadline);
	source_close(&errand->exit);
}

static void add(struct errand *errand, struct session *session, bool takes_input)
{
	errand->work = (struct work){ .sent = sent, .input = takes_input ? take_input : NULL, .gone = gone };
	errand->source.ready = ready;
	errand->exit.ready = exited;
	errand->deadline.expired = expired;
	errand->session = session;
	errand->takes_input = takes_input;
	errand->next = errands;
	errands = errand;
	errand_count++;
	session->work = &errand->work;
	source_watch(&errand->exit, EPOLLIN);
	watch(errand, false);
}

/* 0, or -errno: then there is no process. */
static int start_process(struct errand *errand, const struct file_request *request, errand_work work)
{
	int pair[2];
	int error = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	protection_drop();
	errand->pid = fork();
	if (errand->pid == 0)
		errand_run(pair[1], default_cwd, request, work);
	if (errand->pid < 0)
		error = -errno;
	protection_take();
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	errand->source.fd = pair[0];
	errand->exit.fd = error == 0 ? (int)syscall(SYS_pidfd_open, errand->pid, 0) : -1; /* a descriptor */
	if (error == 0 && errand->exit.fd < 0) {
		int signal;

		error = -errno;
		kill(errand->pid, SIGKILL);
		reap(errand->pid, &signal);
	}
	if (error != 0)
		close(pair[0]);
	return error;
}

int errand_start(struct session *session, const struct file_request *request, errand_work work, bool takes_input)
{
	struct errand *errand = errand_count >= MAX_ERRANDS ? NULL : calloc(1, sizeof *errand);
	int error;

	if (errand == NULL)
		return errand_count >= MAX_ERRANDS ? -EAGAIN : -ENOMEM;
	error = start_process(errand, request, work);
	if (error != 0)
		free(errand);
	else
		add(errand, session, takes_input);
	return error;
}

void errands_sweep(void)
{
	struct errand **at = &errands;

	while (*at != NULL) {
		struct errand *errand = *at;

		if (errand->session != NULL || !errand->reaped) {
			at = &errand->next;
			continue;
		}
		*at = errand->next;
		errand_count--;
		free(errand);
	}
}
