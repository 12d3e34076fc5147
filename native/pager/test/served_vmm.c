/*
 * served_vmm.c - the fake VMM without a pager in it, for tests of the daemon's side: libpager.so comes by LD_PRELOAD, as in QEMU.
 *
 *   served_vmm DIR [SEED [BELOW]]      QMP at DIR/qmp, the machine's marker and overlay in DIR; BELOW is a file with what the layers hold
 *                                      that will be mapped
 *
 * It prints "ready", and then answers each line on stdin with that line, when it is done:
 *
 *   run          starts the vCPUs, which write all the time
 *   write        has them write in other ways, and writes some pages itself
 *   script NAME  what QEMU does at the branches to come, by a name of `scripts`
 *   keep PATH    writes to a new file what RAM was at the latest stop for a branch
 *
 * The end of stdin ends the VMM. So it cannot outlive its test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_qmp.h"
#include "machine.h"

#define RAM_BYTES (4ul << 20)

uint64_t check_seed = 1;
_Atomic unsigned long check_count;

static const struct {
	const char *name;
	enum qmp_script script;
} scripts[] = {
	{ "fine", QMP_FINE },
	{ "failsFirst", QMP_SAVE_FAILS_FIRST },
	{ "failsLast", QMP_SAVE_FAILS_LAST },
	{ "closes", QMP_CLOSES },
};

static enum qmp_script script_named(const char *name)
{
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].name, name) == 0)
			return scripts[i].script;
	CHECK(false, "no script: %s", name);
	return QMP_FINE;
}

static const uint8_t *map_below(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const uint8_t *below = mmap(NULL, RAM_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);

	CHECK(fd >= 0 && below != MAP_FAILED, "%s: errno %d", path, errno);
	close(fd);
	return below;
}

static void write_some_pages(struct machine *machine, uint64_t *random)
{
	size_t count = random_below(random, 200), page = random_below(random, machine->page_count);

	for (size_t i = 0; i < machine->vcpu_count; i++)
		machine->vcpus[i].pattern = random_below(random, 3) ? PATTERN_IDLE : (int)random_below(random, PATTERN_COUNT);
	for (size_t i = 0; i < count; i++)
		machine_write_page(machine, (page + i) % machine->page_count, random_next(random));
}

static void keep_reference(const struct machine *machine, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t wrote = write(fd, machine->reference, RAM_BYTES);

	CHECK(wrote == (ssize_t)RAM_BYTES, "%s: %zd, errno %d", path, wrote, errno);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct machine machine;
	static struct fake_qmp qmp;
	char qmp_path[256], line[512];
	uint64_t random;

	CHECK(argc >= 2, "usage: served_vmm DIR [SEED [BELOW]]");
	if (argc > 2)
		check_seed = strtoull(argv[2], NULL, 10);
	random = check_seed;
	snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", argv[1]);
	machine_init(&machine, argv[1], RAM_BYTES, 1 + random_below(&random, 2), check_seed);
	if (argc > 3)
		machine.below = map_below(argv[3]);
	fake_qmp_start(&qmp, qmp_path, &machine, check_seed);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "run") == 0)
			machine_start(&machine);
		else if (strcmp(line, "write") == 0)
			write_some_pages(&machine, &random);
		else if (strncmp(line, "script ", 7) == 0)
			qmp.script = script_named(line + 7);
		else if (strncmp(line, "keep ", 5) == 0)
			keep_reference(&machine, line + 5);
		else
			CHECK(false, "no command: %s", line);
		puts(line);
		fflush(stdout);
	}
	_Exit(0); /* the other threads are still running: nothing to tear down politely */
}
