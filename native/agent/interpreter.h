/*
 * eval: the warm interpreter, a process that has imported what the image promises and keeps one namespace. One piece of code runs at a
 * time, the others wait.
 *
 * Code whose time is over, or whose client went away, is interrupted (SIGINT); what ignores that for INTERRUPT_GRACE_MS is killed, and
 * the namespace with it. A process that died is started again at once, unless it died before it was ready: then at the next eval. Whose
 * code it died of is told so, and so is the next eval, which finds the variables of those before gone.
 *
 * In a copy of a machine the process would draw the random numbers of its twins. One that can seed its generators again does; another is
 * started again, if no code has run in it. Both wait for the first piece of code: a copy that needs no interpreter touches none of its pages.
 * It is the same with the owner's environment, of which a process is told what has changed, so that what code has set itself stays.
 *
 * Not handled: a process that cannot, and in which code has run. Its variables count for more. Nor does it read again what it has read of the
 * environment at its start (Node.js: NODE_EXTRA_CA_CERTS).
 */
#ifndef AGENT_INTERPRETER_H
#define AGENT_INTERPRETER_H

#include "env.h"
#include "session.h"

/* Starts it. The command and the environments stay the caller's, and are read whenever it is started again. */
void interpreter_open(char *const *command, const struct env *base, const struct env *owners);

/* The owner's environment may have changed; this is a copy of a machine. The process hears of both before the next piece of code. */
void interpreter_env_changed(void);
void interpreter_moved(void);

/* "none", "starting", "ready" or "failed". */
const char *interpreter_state(void);

/* Whether it has become ready or failed to, once. */
bool interpreter_settled(void);

/* Gives it the session and the code, a JSON string. 0 for no deadline. -EAGAIN when too many wait, or -ENOMEM: the session is as it was. */
int interpreter_run(struct session *session, struct json code, int64_t deadline_ms);

#endif
