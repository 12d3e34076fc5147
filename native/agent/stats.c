#include "stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "small_file.h"

#define MAX_STATS_FILE_BYTES (64u << 10)

static void put(struct text *answer, const char *name, uint64_t number)
{
	text_put(answer, answer->length > 1 ? ",\"" : "\"");
	text_put(answer, name);
	text_put(answer, "\":");
	text_number(answer, number > INT64_MAX ? INT64_MAX : (long long)number); /* within it */
}

/* As a string, for the readers below. False when there is nothing. */
static bool read_string(const char *path, struct text *text)
{
	bool read = small_file_read(path, MAX_STATS_FILE_BYTES, text) == 0 && text->length > 0;

	text_add(text, "", 1);
	return read && !text->failed;
}

/* Of all processors: user, nice, system, then idle and waiting, which are none, then interrupts and what the host took. */
static void put_cpu(struct text *answer)
{
	struct text stat = { 0 };
	uint64_t user, nice, system, irq, softirq;
	long per_second = sysconf(_SC_CLK_TCK);

	if (read_string("/proc/stat", &stat) && per_second > 0 &&
	    sscanf(stat.bytes, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64, &user, &nice,
		   &system, &irq, &softirq) == 5)
		put(answer, "cpu_time_ms", (user + nice + system + irq + softirq) * 1000 / (uint64_t)per_second); /* positive */
	text_free(&stat);
}

static void put_memory(struct text *answer)
{
	static const char *const lines[][2] = { { "MemTotal:", "memory_total_bytes" },
						{ "MemAvailable:", "memory_available_bytes" } };
	struct text info = { 0 };
	bool read = read_string("/proc/meminfo", &info);

	for (size_t i = 0; read && i < sizeof lines / sizeof *lines; i++) {
		const char *line = strstr(info.bytes, lines[i][0]);
		uint64_t kib;

		if (line != NULL && sscanf(line + strlen(lines[i][0]), "%" SCNu64, &kib) == 1 && kib <= UINT64_MAX >> 10)
			put(answer, lines[i][1], kib << 10);
	}
	text_free(&info);
}

static void put_disk(struct text *answer)
{
	struct statvfs disk;

	if (statvfs("/", &disk) != 0)
		return;
	put(answer, "disk_total_bytes", (uint64_t)disk.f_blocks * disk.f_frsize);
	put(answer, "disk_free_bytes", (uint64_t)disk.f_bavail * disk.f_frsize);
}

/* Of all interfaces but the loopback: a line each, bytes received first and bytes sent as the ninth number. */
static void put_network(struct text *answer)
{
	struct text table = { 0 };
	uint64_t received = 0, sent = 0;
	char *line, *rest;

	if (!read_string("/proc/net/dev", &table)) {
		text_free(&table);
		return;
	}
	for (line = strtok_r(table.bytes, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		uint64_t in, out;
		char name[32];

		if (sscanf(line, " %31[^: ]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &in, &out) != 3 ||
		    strcmp(name, "lo") == 0)
			continue;
		received += in;
		sent += out;
	}
	put(answer, "network_received_bytes", received);
	put(answer, "network_sent_bytes", sent);
	text_free(&table);
}

void run_stats(struct session *session, struct json request)
{
	struct text answer = { 0 };

	(void)request; /* it has no fields */
	text_put(&answer, "{");
	put_cpu(&answer);
	put_memory(&answer);
	put_disk(&answer);
	put_network(&answer);
	text_put(&answer, "}");
	session_end(session, &answer);
}
