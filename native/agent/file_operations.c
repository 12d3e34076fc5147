#include "file_operations.h"

#include <errno.h>
#include <string.h>

#include "errand.h"
#include "file_change.h"
#include "file_look.h"
#include "file_read.h"
#include "tree.h"
#include "watch.h"

struct operation {
	const char *name;
	errand_work work;
	bool takes_input;
};

static const struct operation OPERATIONS[] = {
	{ "read", file_read, false },	{ "write", file_write, true }, { "stat", file_stat, false },
	{ "list", file_list, false },	{ "mkdir", file_mkdir, false }, { "move", file_move, false },
	{ "remove", file_remove, false }, { "pack", tree_pack, false },  { "unpack", tree_unpack, true },
	{ "watch", file_watch, false },
};

static void run(struct session *session, const struct operation *operation, struct json request)
{
	struct file_request wanted;
	struct problem problem;
	int error = file_request_read(request, &wanted, &problem);

	if (error == 0)
		error = errand_start(session, &wanted, operation->work, operation->takes_input);
	if (error == -EAGAIN)
		session_fail(session, "busy", "too many calls for files are under way");
	else if (error == -EINVAL)
		session_refuse(session, error, &problem);
	else if (error != 0)
		session_fail(session, "out_of_memory", strerror(-error));
	file_request_free(&wanted);
}

bool run_file_operation(struct session *session, const char *name, struct json request)
{
	for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++) {
		if (strcmp(OPERATIONS[i].name, name) == 0) {
			run(session, &OPERATIONS[i], request);
			return true;
		}
	}
	return false;
}
