/*
 * A program that is kept: it belongs to the machine, not to a connection. What it prints goes into rings, for whoever asks; how it ended
 * is kept with them.
 *
 *   starting --it has begun--> running --its end--> ended --what it printed before that has been read--> over --forgotten--> freed
 *
 * Its output is read on as long as anybody holds the pipes, also when it is over: what a program left running goes on printing. It is
 * read as fast as the slowest reader takes it, so a program waits for whoever is attached; with no reader, the oldest bytes give way.
 *
 * Readers and writers know nothing of each other. They are told when there is something to do, and take themselves out.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "command.h"
#include "group.h"
#include "loop.h"
#include "pace.h"
#include "ring.h"
#include "text.h"

#define MAX_PROCESSES 1024

struct reader {
	struct reader *next;
	uint64_t at[2]; /* the next byte it wants of standard output and error; UINT64_MAX for none */
	/* There may be more to read, or the program is over. It may take itself out, and no other. */
	void (*more)(struct reader *reader);
};

struct writer {
	struct writer *next;
	/* There may be room again, or none ever. It may take itself out, and no other. */
	void (*room)(struct writer *writer);
};

struct process;

/* Who has a program started. It is told once: the process when it has begun, else NULL and -errno of what kept it from that. */
struct starter {
	void (*begun)(struct starter *starter, struct process *process, int error);
};

struct process_output {
	struct source source;
	struct process *process;
	struct ring ring;
	struct pace pace;
	int left_bytes; /* to be read after the program's end */
	bool let_go;	/* a terminal that nobody holds any more, though the program runs on */
};

struct process {
	struct process *next;
	struct reader *readers;
	struct writer *writers;
	struct starter *starter; /* until it has been told */
	struct source report;
	struct source exit;
	struct source input; /* a terminal's is outputs[0].source */
	struct process_output outputs[2];
	struct timer deadline;
	struct group group;
	struct text about; /* of the program it was started as, for whoever describes it */
	unsigned holders; /* who may still look at it; it is freed when there is none */
	uint64_t input_bytes;
	int64_t started_at, ended_at;
	pid_t pid;
	int exit_code, signal;
	bool terminal, input_ended, input_full, begun, ended, over, timed_out, forgotten;
};

struct process_spec {
	const struct command *command;
	const char *tag; /* or NULL */
	struct text *about; /* taken over by the process, once it is started */
	unsigned columns, rows; /* of its terminal; 0 for none */
	bool input;
};

/* 0: the starter will be told, later; or -errno; -EAGAIN when there are too many. */
int process_start(const struct process_spec *spec, struct starter *starter);

/* Those that have begun. */
struct process *process_find(pid_t pid);
/* The one started before it; the latest for NULL. */
struct process *process_next(const struct process *process);

void process_add_reader(struct process *process, struct reader *reader);
/* Also called when a reader has taken something: the program may go on. */
void process_read_from(struct process *process);
void process_remove_reader(struct process *process, struct reader *reader);

void process_add_writer(struct process *process, struct writer *writer);
void process_remove_writer(struct process *process, struct writer *writer);

bool process_takes_input(const struct process *process);

/*
 * How much of it was taken: 0 when there is no room now. -EPIPE when nothing reads it, or ever will; another -errno when the kernel did not
 * take it, and may take what comes next.
 */
ssize_t process_write(struct process *process, const char *bytes, size_t length);
void process_end_input(struct process *process);

/* SIGKILL ends all it started; any other goes to its process group. 0, or -errno: -ESRCH when it has ended. */
int process_signal(struct process *process, int signal);
int process_resize(struct process *process, unsigned columns, unsigned rows);

/* Frees those that are forgotten and of which nobody knows any more; between turns of the loop. */
void processes_sweep(void);

#endif
