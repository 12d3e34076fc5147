#include "description.h"

#include <string.h>

/* Arguments are shown up to here: a list of all processes has to fit into one frame. */
#define SHOWN_BYTES 2048

static void add_arguments(struct text *text, char *const *args)
{
	size_t left_bytes = SHOWN_BYTES;

	text_put(text, ",\"args\":[");
	for (char *const *each = args; *each != NULL && left_bytes > 0; each++) {
		size_t length = strlen(*each);
		size_t shown = length < left_bytes ? length : left_bytes;

		if (each != args)
			text_put(text, ",");
		text_quote(text, *each, shown);
		left_bytes -= shown;
	}
	text_put(text, "]");
}

static void add_number(struct text *text, const char *member, long long number)
{
	text_put(text, member);
	text_number(text, number);
}

void program_describe(const struct process_spec *spec, struct text *text)
{
	add_arguments(text, spec->command->args);
	if (spec->tag != NULL) {
		text_put(text, ",\"tag\":");
		text_quote(text, spec->tag, strlen(spec->tag));
	}
	text_put(text, spec->rows > 0 ? ",\"pty\":true" : ",\"pty\":false");
}

static void add_end(const struct process *process, struct text *text)
{
	add_number(text, ",\"running\":false,\"exit_code\":", process->exit_code);
	if (process->signal != 0)
		add_number(text, ",\"signal\":", process->signal);
	add_number(text, ",\"ended_at_unix\":", process->ended_at);
	text_put(text, process->timed_out ? ",\"timed_out\":true" : ",\"timed_out\":false");
}

/* Offsets fit: nobody prints 2^63 bytes. */
void process_describe(const struct process *process, struct text *text)
{
	const struct ring *out = &process->outputs[0].ring, *err = &process->outputs[1].ring;

	add_number(text, "{\"pid\":", process->pid);
	text_add(text, process->about.bytes, process->about.length);
	text->failed |= process->about.failed;
	add_number(text, ",\"started_at_unix\":", process->started_at);
	if (process->ended)
		add_end(process, text);
	else
		text_put(text, ",\"running\":true");
	add_number(text, ",\"stdin_bytes\":", (long long)process->input_bytes);
	add_number(text, ",\"stdout_from\":", (long long)out->from);
	add_number(text, ",\"stdout_to\":", (long long)out->to);
	add_number(text, ",\"stderr_from\":", (long long)err->from);
	add_number(text, ",\"stderr_to\":", (long long)err->to);
	text_put(text, "}");
}

void processes_describe(struct text *text)
{
	const char *before = "{\"processes\":[";

	for (const struct process *each = process_next(NULL); each != NULL; each = process_next(each)) {
		text_put(text, before);
		process_describe(each, text);
		before = ",";
	}
	text_put(text, *before == '{' ? "{\"processes\":[]}" : "]}");
}
