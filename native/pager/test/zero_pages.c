/*
 * zero_pages.c - pages of zeroes: left out of a layer that stands on nothing, kept in one that stands on others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../zeroes.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define RAM_BYTES (8ul * 1024 * 1024)
#define ENOUGH (ZEROES_MIN_BYTES / MACHINE_PAGE)
#define STRETCH 64
/* In pages from the start of a part of RAM that no vCPU writes to. */
#define FULL_AT 0
#define ZERO_AT STRETCH
#define SHORT_AT (2 * STRETCH + 1)
#define PART_PAGES (4 * STRETCH)

static size_t quiet_part(const struct vmm *vmm)
{
	size_t part = 0;

	for (size_t i = 0; i < vmm->machine.vcpu_count; i++) {
		size_t page = vmm->machine.vcpus[i].region_start;

		if (page < part || page >= part + PART_PAGES)
			continue;
		part += PART_PAGES;
		i = (size_t)-1;
	}
	CHECK(part + PART_PAGES <= vmm->machine.page_count, "vCPUs write everywhere");
	return part;
}

static void fill(struct vmm *vmm, size_t page, size_t count)
{
	for (size_t i = page; i < page + count; i++)
		machine_write_page(&vmm->machine, i, i);
}

static void zero(struct vmm *vmm, size_t page, size_t count)
{
	for (size_t i = page; i < page + count; i++)
		machine_zero_page(&vmm->machine, i);
}

/* CHECKs that the file holds all of these pages, or none. */
static void check_held(const char *path, size_t page, size_t count, bool held)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "%s: errno %d", path, errno);
	for (size_t i = page; i < page + count; i++) {
		off_t at = (off_t)(i * MACHINE_PAGE);

		CHECK((lseek(fd, at, SEEK_DATA) == at) == held, "%s %s page %zu", path, held ? "leaves out" : "holds", i);
	}
	close(fd);
}

static void branch(struct vmm *vmm, const struct branch_plan *plan)
{
	struct branch_outcome outcome = vmm_branch(vmm, plan);

	CHECK(outcome.ok, "%s: errno %d, %s", plan->mode, outcome.error, outcome.operation);
}

/* On nothing: long runs of zeroes are left out of both copies, short ones are not worth a mapping. */
static void capture_ground(struct vmm *vmm, size_t part)
{
	static const struct branch_plan plan = {.mode = "full", .durable = true, .deadline_ms = 20000};

	fill(vmm, part + FULL_AT, STRETCH);
	zero(vmm, part + ZERO_AT, STRETCH);
	fill(vmm, part + SHORT_AT - 1, ENOUGH + 1);
	zero(vmm, part + SHORT_AT, ENOUGH - 1);
	branch(vmm, &plan);
	for (const char *const *what = (const char *const[]){"layer", "durable", NULL}; *what; what++) {
		check_held(vmm_path(vmm, *what), part + FULL_AT, STRETCH, true);
		check_held(vmm_path(vmm, *what), part + ZERO_AT, STRETCH, false);
		check_held(vmm_path(vmm, *what), part + SHORT_AT - 1, ENOUGH + 1, true);
	}
	vmm_keep(vmm, &plan);
}

/* What a layer below holds is zeroed: only what stands on nothing may leave that out. */
static void capture_above(struct vmm *vmm, size_t part)
{
	static const struct branch_plan plans[] = {
		{.mode = "live", .deadline_ms = 20000},
		{.mode = "live", .tracking = "sync", .deadline_ms = 20000},
		{.mode = "live", .folds = true, .deadline_ms = 20000},
		{.mode = "full", .deadline_ms = 20000},
		{.mode = "diff", .durable = true, .deadline_ms = 20000},
	};
	size_t count = sizeof(plans) / sizeof(plans[0]);

	zero(vmm, part + FULL_AT, STRETCH / 2);
	fill(vmm, part + ZERO_AT, 1);
	for (size_t i = 0; i < count; i++) {
		branch(vmm, &plans[i]);
		check_held(vmm_path(vmm, "layer"), part + FULL_AT, STRETCH / 2, plans[i].mode[0] != 'f');
		if (i + 1 < count)
			vmm_forget(vmm);
	}
	vmm_keep(vmm, &plans[count - 1]);
}

static void check_child(struct vmm *vmm, size_t part)
{
	const uint8_t *ram = vmm->machine.ram + (part + FULL_AT) * MACHINE_PAGE;

	for (size_t i = 0; i < STRETCH / 2 * MACHINE_PAGE; i++)
		CHECK(ram[i] == 0, "byte %zu of a page that was zeroed is %d", i, ram[i]);
	vmm_check_alive(vmm);
}

void scenario_zero_pages(const char *dir, uint64_t seed, size_t depth)
{
	static void (*const generations[])(struct vmm *vmm, size_t part) = {capture_ground, capture_above, check_child};
	static struct vmm vmm; /* its threads outlive this function */

	vmm_start_idle(&vmm, dir, seed, depth, RAM_BYTES);
	vmm.qmp.leaves_ram_alone = true;
	generations[depth](&vmm, quiet_part(&vmm));
}
