/*
 * The interpreter's process: pipes, lines of JSON, and what it printed.
 *
 * The process finds its end of a socket pair by the number in BOUGH_FD. It says {"ready":true} once, then answers each {"code":...} with
 * {"result","error","exit_code"}; {"env":...,"changes":...} has no answer: its environment, and what has changed in it (null: it is gone).
 * Nor has {"reseed":true}, which those take that said "reseeds":true at first. Its standard output and error are pipes of their own, so
 * nothing that a program prints can be taken for an answer. All that is printed before an answer is written is in the pipes when the answer
 * comes, so they are emptied first. What is printed while nothing is collected is thrown away: it can never block on a full pipe.
 *
 * Interpreters keep what they answer short themselves; one that answers without end is killed.
 *
 * Not handled: several pieces of code at a time.
 */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "env.h"
#include "group.h"
#include "loop.h"
#include "text.h"

struct worker;

struct worker_output {
	struct source source;
	struct worker *worker;
	struct text printed;
};

struct worker {
	struct source exit;
	struct source control;
	struct worker_output outputs[2];
	struct text unsent;
	struct text line;
	pid_t pid;
	int report_fd; /* spawn.h */
	struct group group;
	bool running; /* there is a process */
	bool begun; /* its program could be run */
	bool ready;
	bool reseeds; /* it takes {"reseed":true} */
	bool collecting;
	bool truncated;
	/* Told when it has become ready; the outcome of its code, a whole END object; that it has ended, and how. */
	void (*became_ready)(void);
	void (*answered)(struct text *outcome);
	void (*died)(const char *how);
};

/* 0, or -errno when it cannot be started. */
int worker_start(struct worker *worker, char *const *command, const struct env *env);

/* Sends one line; with `collect` it keeps from now on what is printed. Takes the line. */
void worker_send(struct worker *worker, struct text *line, bool collect);

/* A line of ours before what is collected of its standard error. */
void worker_note(struct worker *worker, const char *line);

/* An END object of that error, with what was printed for it. */
void worker_outcome(struct worker *worker, const char *error, struct text *outcome);

void worker_interrupt(const struct worker *worker);
void worker_kill(const struct worker *worker);

#endif
