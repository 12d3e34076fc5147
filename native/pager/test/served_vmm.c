/*
 * served_vmm.c - the fake VMM without a pager in it, for tests of the daemon's client: libpager.so comes by LD_PRELOAD, as in QEMU.
 *
 *   served_vmm DIR      QMP at DIR/qmp, the machine's marker and overlay in DIR; prints "ready"
 *
 * A line on stdin starts the vCPUs, and "running" is printed; the end of stdin ends the VMM. So it cannot outlive its test.
 */
#include <string.h>
#include <unistd.h>

#include "../../test/check.h"
#include "fake_qmp.h"
#include "machine.h"

#define RAM_BYTES (4ul << 20)

uint64_t check_seed = 1;
_Atomic unsigned long check_count;

int main(int argc, char **argv)
{
	static struct machine machine;
	static struct fake_qmp qmp;
	char qmp_path[256], line[16];

	CHECK(argc == 2, "usage: served_vmm DIR");
	snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", argv[1]);
	machine_init(&machine, argv[1], RAM_BYTES, 1, check_seed);
	fake_qmp_start(&qmp, qmp_path, &machine, check_seed);
	puts("ready");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin)) {
		machine_start(&machine);
		puts("running");
		fflush(stdout);
		while (fgets(line, sizeof(line), stdin))
			;
	}
	_Exit(0); /* the other threads are still running: nothing to tear down politely */
}
