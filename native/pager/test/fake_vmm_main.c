/*
 * fake_vmm_main.c - runs the scenarios, each VMM in a process of its own.
 *
 *   fake_vmm [--runs N] [--big N] [--seed S]      N lineages of four generations; seeds S, S+1, ...
 *   fake_vmm --only SCENARIO [--runs N]           one scenario, N times
 *   fake_vmm vmm SCENARIO DIR SEED DEPTH          one VMM (what the first form starts)
 *
 * The pager is in this program as it is in QEMU: its constructor starts it when the environment names its sockets.
 * Built with PRELOADED it is not linked, and each VMM gets libpager.so by LD_PRELOAD: the file named by FAKE_VMM_PRELOAD.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../protocol.h"
#include "../../test/check.h"
#include "fake_vmm.h"

#define TALLY_FD 200
#define VMM_SECONDS 300

uint64_t check_seed;
_Atomic unsigned long check_count;
struct tally *tally;
static char root_dir[64]; /* everything the run makes is below it */

static void open_tally(void)
{
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, TALLY_FD, 0);
	CHECK(tally != MAP_FAILED, "errno %d", errno);
}

static int run_vmm(char **argv)
{
	const char *scenario = argv[2], *dir = argv[3];
	size_t depth = strtoul(argv[5], NULL, 10);

	check_seed = strtoull(argv[4], NULL, 10);
	open_tally();
	alarm(VMM_SECONDS);
	signal(SIGXFSZ, SIG_IGN);
	if (strcmp(scenario, "random") == 0 || strcmp(scenario, "big") == 0)
		scenario_random(dir, check_seed, depth, scenario[0] == 'b');
	else if (strcmp(scenario, "qmp-faults") == 0)
		scenario_qmp_faults(dir, check_seed);
	else if (strcmp(scenario, "ready") == 0)
		scenario_ready(dir, check_seed);
	else if (strcmp(scenario, "disk") == 0)
		scenario_disk(dir, check_seed);
	else if (strcmp(scenario, "requests") == 0)
		scenario_requests(dir, check_seed);
	else if (strcmp(scenario, "full-store") == 0)
		scenario_full_store(dir, check_seed);
	else if (strcmp(scenario, "zero-pages") == 0)
		scenario_zero_pages(dir, check_seed, depth);
	else if (strcmp(scenario, "line") == 0)
		scenario_line(dir, check_seed, depth);
#ifndef PRELOADED
	else if (strcmp(scenario, "injected") == 0)
		scenario_injected(dir, check_seed);
	else if (strcmp(scenario, "deadline") == 0)
		scenario_deadline(dir, check_seed);
	else if (strcmp(scenario, "scan") == 0)
		scenario_scan(dir, check_seed);
	else if (strcmp(scenario, "arming") == 0)
		scenario_arming(dir, check_seed);
	else if (strcmp(scenario, "many-runs") == 0)
		scenario_many_runs(dir, check_seed, depth);
#endif
	else
		CHECK(false, "no scenario %s", scenario);
	tally->checks += check_count;
	fflush(stdout);
	_Exit(0); /* the other threads are still running: nothing to tear down politely */
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info;
	(void)kind;
	(void)at;
	return remove(path);
}

static void remove_tree(const char *dir)
{
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* One VMM process in dir; what it needs to be gone before the next one starts is gone. */
static void spawn_vmm(const char *scenario, const char *dir, uint64_t seed, unsigned depth)
{
	char socket_path[128], qmp_path[128], seed_text[24], depth_text[12];
	int status;

	check_seed = seed;
	snprintf(socket_path, sizeof(socket_path), "%s/control", dir);
	snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", dir);
	snprintf(seed_text, sizeof(seed_text), "%llu", (unsigned long long)seed);
	snprintf(depth_text, sizeof(depth_text), "%u", depth);
	unlink(socket_path);
	unlink(qmp_path);
	pid_t pid = fork();
	CHECK(pid >= 0, "errno %d", errno);
	if (pid == 0) {
		/* A mount namespace for its full tmpfs; before exec, so that all threads are in it. */
		if (strcmp(scenario, "full-store") == 0 && unshare(CLONE_NEWNS) == 0)
			mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
		setenv(PAGER_ENV_SOCKET, socket_path, 1);
		setenv(PAGER_ENV_QMP, qmp_path, 1);
		if (getenv("FAKE_VMM_PRELOAD"))
			setenv("LD_PRELOAD", getenv("FAKE_VMM_PRELOAD"), 1);
		execl("/proc/self/exe", "fake_vmm", "vmm", scenario, dir, seed_text, depth_text, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0) {
		fprintf(stderr, "fake_vmm: %s, seed %s, generation %s: %s %d\n", scenario, seed_text, depth_text,
			WIFSIGNALED(status) ? "ended by signal" : "exit status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		remove_tree(root_dir);
		exit(1);
	}
}

static void run_lineage(const char *scenario, const char *root, uint64_t seed, unsigned generations)
{
	char dir[96];

	snprintf(dir, sizeof(dir), "%s/XXXXXX", root);
	CHECK(mkdtemp(dir), "%s: errno %d", dir, errno);
	for (unsigned depth = 0; depth < generations; depth++)
		spawn_vmm(scenario, dir, seed, depth);
	remove_tree(dir);
}

static unsigned long option(int argc, char **argv, const char *name, unsigned long fallback)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoul(argv[i + 1], NULL, 10);
	return fallback;
}

static unsigned generations_of(const char *scenario)
{
	static const struct {
		const char *scenario;
		unsigned generations;
	} several[] = {{"random", 4}, {"many-runs", 4}, {"zero-pages", 3}, {"line", 3}, {"big", 2}};

	for (size_t i = 0; i < sizeof(several) / sizeof(several[0]); i++)
		if (strcmp(several[i].scenario, scenario) == 0)
			return several[i].generations;
	return 1;
}

static void print_tally(unsigned long seed, unsigned long runs)
{
	printf("fake_vmm: seeds %lu..%lu: %lu VMMs (%lu children of captures), %lu branches equal byte for byte: %lu live "
	       "async, %lu live sync, %lu diff, %lu full; %lu armed (%lu in part, %lu pages, %lu by faults), %lu disk tails (%lu long), "
	       "%lu switched, %lu pauses tried again, %lu folded, %lu gone on from another, %lu with gaps filled; %lu branches refused as they should; %lu lineages without PAGEMAP_SCAN, %lu calls made to "
	       "fail; %lu checks\n",
	       seed, seed + runs - (runs > 0), tally->vmms, tally->children, tally->branches, tally->live_async, tally->live_sync,
	       tally->diff, tally->full, tally->armed, tally->partly_armed, tally->armed_pages, tally->faults, tally->tails,
	       tally->long_tails, tally->switched, tally->retried, tally->folded, tally->went_on, tally->filled, tally->refused, tally->without_scan, tally->injected, tally->checks);
}

int main(int argc, char **argv)
{
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	if (argc == 6 && strcmp(argv[1], "vmm") == 0)
		return run_vmm(argv);
	unsigned long runs = option(argc, argv, "--runs", 100), big = option(argc, argv, "--big", 1);
	unsigned long seed = option(argc, argv, "--seed", 1);
	int fd = memfd_create("tally", 0);
	CHECK(fd >= 0 && ftruncate(fd, sizeof(*tally)) == 0 && dup2(fd, TALLY_FD) == TALLY_FD, "errno %d", errno);
	open_tally();
	snprintf(root_dir, sizeof(root_dir), "%s/pager-test-XXXXXX", root);
	CHECK(mkdtemp(root_dir), "%s: errno %d", root_dir, errno);

	if (argc > 2 && strcmp(argv[1], "--only") == 0) {
		for (unsigned long i = 0; i < runs; i++)
			run_lineage(argv[2], root_dir, seed + i, generations_of(argv[2]));
		rmdir(root_dir);
		print_tally(seed, runs);
		return 0;
	}
	run_lineage("qmp-faults", root_dir, seed, 1);
	run_lineage("ready", root_dir, seed, 1);
	run_lineage("disk", root_dir, seed, 1);
	run_lineage("requests", root_dir, seed, 1);
	run_lineage("full-store", root_dir, seed, 1);
	run_lineage("zero-pages", root_dir, seed, 3);
#ifndef PRELOADED
	run_lineage("injected", root_dir, seed, 1);
	run_lineage("deadline", root_dir, seed, 1);
	run_lineage("scan", root_dir, seed, 1);
	run_lineage("arming", root_dir, seed, 1);
	run_lineage("many-runs", root_dir, seed, 4);
#endif
	for (unsigned long i = 0; i < runs; i++) {
#ifndef PRELOADED
		/* Every eighth lineage on a kernel without PAGEMAP_SCAN. */
		if (i % 8 == 7) {
			setenv("BOUGH_TEST_NO_PAGEMAP_SCAN", "1", 1);
			tally->without_scan++;
		} else {
			unsetenv("BOUGH_TEST_NO_PAGEMAP_SCAN");
		}
#endif
		run_lineage("random", root_dir, seed + i, 4);
	}
	unsetenv("BOUGH_TEST_NO_PAGEMAP_SCAN");
	for (unsigned long i = 0; i < runs / 8 + 1; i++)
		run_lineage("line", root_dir, seed + i, 3);
	for (unsigned long i = 0; i < big; i++)
		run_lineage("big", root_dir, seed + i, 2);
	rmdir(root_dir);
	print_tally(seed, runs);
	CHECK(runs < 40 || (tally->armed > 0 && tally->partly_armed > 0 && tally->faults > 0 && tally->long_tails > 0 && tally->switched > 0), "something never happened");
	return 0;
}
