/* An errand's own process, from fork() to its end; see errand.h. */
#ifndef AGENT_ERRAND_PROCESS_H
#define AGENT_ERRAND_PROCESS_H

#include "errand.h"

/* Runs the work as the user that was asked for, and says what came of it. */
_Noreturn void errand_run(int fd, const char *cwd, const struct file_request *request, errand_work work);

#endif
