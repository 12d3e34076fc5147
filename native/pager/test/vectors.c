/*
 * vectors.c - the pager answers as protocol-vectors.txt says. Its other reader is the test of the daemon's client: what passes both
 * is spoken alike by both.
 *
 *   vectors FILE        in a folder of its own, a machine of 4 MiB, the pager linked and started as preload.c does
 *
 * The vCPUs start with the first map that succeeds, as the protocol asks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../control.h"
#include "../../test/check.h"
#include "client.h"
#include "fake_qmp.h"
#include "machine.h"

#define RAM_BYTES (4ul << 20)

uint64_t check_seed = 1;
_Atomic unsigned long check_count;

static char dir[] = "/tmp/pager-vectors-XXXXXX";
static struct machine machine;
static struct fake_qmp qmp;
static struct client client;
static bool runs;

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info;
	(void)kind;
	(void)at;
	return remove(path);
}

/* The line with dir in the place of every '@'; the caller frees it. */
static char *expand(const char *line)
{
	char *expanded = NULL;
	size_t bytes = 0;
	FILE *text = open_memstream(&expanded, &bytes);

	CHECK(text, "no memory");
	for (; *line; line++)
		if (*line == '@')
			fputs(dir, text);
		else
			fputc(*line, text);
	fclose(text);
	return expanded;
}

/* One field of an answer against its vector: all of it, or up to the '~' for which any value may come. */
static bool field_matches(const char *vector, const char *field)
{
	size_t key_length = strcspn(vector, "~=");

	if (vector[key_length] != '~')
		return strcmp(vector, field) == 0;
	return strncmp(vector, field, key_length) == 0 && field[key_length] == '=';
}

static void expect_answer(char *vector, const char *where)
{
	CHECK(client_read(&client), "%s: the pager hung up", where);
	char *answer = strdup(client.line), *rest = answer;

	CHECK(answer, "no memory");
	for (char *field; (field = strsep(&vector, "\t"));) {
		char *got = strsep(&rest, "\t");
		CHECK(got && field_matches(field, got), "%s: not \"%s\" but: %s", where, field, client.line);
	}
	CHECK(!rest, "%s: the vector lacks \"%s\" of: %s", where, rest, client.line);
	free(answer);
}

static void run_line(char *line, const char *where)
{
	static bool maps;
	char *text = expand(line + strlen(">\t"));

	if (line[0] == '>') {
		maps = strncmp(text, "map\t", 4) == 0;
		client_sendf(&client, "%s\n", text);
	} else {
		expect_answer(text, where);
		if (maps && !runs && client_is(&client, "ok")) {
			machine_start(&machine);
			runs = true;
		}
	}
	free(text);
}

int main(int argc, char **argv)
{
	char socket_path[64], qmp_path[64], where[24], *line = NULL;
	size_t capacity = 0;
	unsigned number = 0, requests = 0;

	CHECK(argc == 2, "usage: vectors FILE");
	FILE *vectors = fopen(argv[1], "re");
	CHECK(vectors, "%s: errno %d", argv[1], errno);
	CHECK(mkdtemp(dir), "%s: errno %d", dir, errno);
	snprintf(socket_path, sizeof(socket_path), "%s/control", dir);
	snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", dir);
	machine_init(&machine, dir, RAM_BYTES, 1, check_seed);
	fake_qmp_start(&qmp, qmp_path, &machine, check_seed);
	CHECK(control_start(socket_path, qmp_path) == 0, "the pager did not start");
	client_connect(&client, socket_path);
	while (getline(&line, &capacity, vectors) > 0) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(where, sizeof(where), "line %u", ++number);
		requests += line[0] == '>';
		if (line[0] == '>' || line[0] == '<')
			run_line(line, where);
	}
	free(line);
	fclose(vectors);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	printf("vectors: %u requests answered as protocol-vectors.txt says; %lu checks\n", requests, check_count);
	fflush(stdout);
	_Exit(0); /* the other threads are still running: nothing to tear down politely */
}
