/*
 * fake_vmm.h - one process that looks like a VMM to the real pager, and what a test does with it.
 *
 * The process has the pager in it (linked, or preloaded), a machine, a QMP server, and a client on the control
 * socket. vmm_branch() asks for one branch and compares everything that comes of it with the machine's reference
 * copy, byte for byte. A lineage is a chain of such processes: each maps the layers its ancestors captured.
 */
#ifndef BOUGH_TEST_FAKE_VMM_H
#define BOUGH_TEST_FAKE_VMM_H

#include "client.h"
#include "fake_qmp.h"
#include "machine.h"

/* Counted over all processes of a run, in shared memory. */
struct tally {
	_Atomic unsigned long vmms, children, branches, live_async, live_sync, diff, full, armed, partly_armed, armed_pages, faults;
	_Atomic unsigned long tails, long_tails, switched, filled, retried, folded, went_on, refused, injected, without_scan, checks;
};
extern struct tally *tally;

#define MAX_LAYERS 64

struct vmm {
	const char *dir;
	uint64_t random;
	size_t depth;              /* generation: how many ancestors there are */
	char layers[MAX_LAYERS][192]; /* below this VMM, bottom first */
	size_t layer_count;
	char own[MAX_LAYERS][192]; /* of this VMM's line of branches, above those below, bottom first */
	size_t own_count;
	enum { ON_ASYNC, ON_SYNC, ON_NONE } tracking; /* what hello said */
	bool tracks; /* asynchronous tracking is on, from some branch on */
	struct machine machine;
	struct fake_qmp qmp;
	struct client client;
	char control_path[128];
	unsigned serial;
	unsigned saves_before, switches_before; /* the latest branch */
	bool went_on;
	uint8_t *stack; /* RAM as the layers below give it; and a buffer of the same size */
	uint8_t *rebuilt;
};

struct branch_plan {
	const char *mode;
	const char *tracking; /* or NULL */
	bool disk, durable;
	size_t spares; /* empty overlays to switch to */
	bool folds; /* layers from fold_from up, into the new one */
	size_t fold_from;
	const char *name, *since; /* or NULL; since stands on own */
	bool fills; /* the layer may hold pages nobody wrote: gaps that were filled */
	enum qmp_script script;
	unsigned ready_ms; /* so long after this one it is made ready for the next; 0: not */
	unsigned runs_max; /* 0: any */
	unsigned deadline_ms;
};

struct branch_outcome {
	bool ran; /* "running" came */
	bool ok;
	int error; /* errno of the error answer */
	char operation[128];
	size_t armed_pages, residue_pages;
	uint64_t captured_bytes;
	bool went_on;
	int arm_error; /* errno */
	size_t run_count;
	unsigned windows;
};

/* Starts the machine over the layers of dir and, when there are some, compares it with their reference copy. */
void vmm_start(struct vmm *vmm, const char *dir, uint64_t seed, size_t depth, size_t ram_bytes);
/* The same with vCPUs that write next to nothing from their first step on, for tests that say where pages are written. */
void vmm_start_idle(struct vmm *vmm, const char *dir, uint64_t seed, size_t depth, size_t ram_bytes);
/* One branch, compared with the stop it claims to be of; the names of its files are vmm_path()'s. */
struct branch_outcome vmm_branch(struct vmm *vmm, const struct branch_plan *plan);
/* The same in two steps, for what a test does meanwhile. */
void vmm_begin(struct vmm *vmm, const struct branch_plan *plan);
struct branch_outcome vmm_end(struct vmm *vmm, const struct branch_plan *plan);
/* Asks for a branch, and waits for nothing. */
void vmm_send_request(struct vmm *vmm, const struct branch_plan *plan);
/* A path of the latest branch: "layer", "state", "tail", "durable", "spare0", "spare1". */
const char *vmm_path(const struct vmm *vmm, const char *what);
/* Keeps the latest branch, made by this plan, for a child; or removes its files. */
void vmm_keep(struct vmm *vmm, const struct branch_plan *plan);
void vmm_forget(struct vmm *vmm);
/* Makes the latest branch, made by this plan, what the next one goes on from; its layer is kept for as long as the line is. */
void vmm_go_on_from(struct vmm *vmm, const struct branch_plan *plan);
/* Waits until so many times the machine was stopped and run again; false if that does not come. */
bool vmm_saved(struct vmm *vmm, unsigned saves);
/* After anything: vCPUs run, and no protection holds a writer. */
void vmm_check_alive(struct vmm *vmm);
/* What a failed branch must have left, and that the next one works. */
void vmm_check_recovers(struct vmm *vmm);

/* The scenarios; each is a process of its own and returns when all went well. */
void scenario_random(const char *dir, uint64_t seed, size_t depth, bool big);
void scenario_qmp_faults(const char *dir, uint64_t seed);
void scenario_ready(const char *dir, uint64_t seed);
void scenario_disk(const char *dir, uint64_t seed);
void scenario_requests(const char *dir, uint64_t seed);
void scenario_full_store(const char *dir, uint64_t seed);
void scenario_zero_pages(const char *dir, uint64_t seed, size_t depth);
void scenario_line(const char *dir, uint64_t seed, size_t depth);
#ifndef PRELOADED
void scenario_injected(const char *dir, uint64_t seed);
void scenario_deadline(const char *dir, uint64_t seed);
void scenario_scan(const char *dir, uint64_t seed);
void scenario_arming(const char *dir, uint64_t seed);
void scenario_many_runs(const char *dir, uint64_t seed, size_t depth);
#endif

#endif
