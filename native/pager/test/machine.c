#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../test/check.h"

#define PAGEMAP_PROTECTED (1ull << 57)

/* Stands still while a stop is asked for. */
static void park(struct machine *machine)
{
	if (!atomic_load_explicit(&machine->stop_requested, memory_order_acquire))
		return;
	pthread_mutex_lock(&machine->lock);
	machine->parked++;
	pthread_cond_broadcast(&machine->changed);
	while (machine->stop_requested)
		pthread_cond_wait(&machine->changed, &machine->lock);
	machine->parked--;
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
}

void machine_write_page(struct machine *machine, size_t page, uint64_t value)
{
	atomic_store_explicit(&machine->touched[page], 1, memory_order_relaxed);
	size_t word = value % (MACHINE_PAGE / sizeof(uint64_t));
	/* Threads race for words like a guest's do: atomically, so that only the order is undefined. */
	__atomic_store_n((uint64_t *)(machine->ram + page * MACHINE_PAGE) + word, value | 1, __ATOMIC_RELAXED);
}

void machine_zero_page(struct machine *machine, size_t page)
{
	atomic_store_explicit(&machine->touched[page], 1, memory_order_relaxed);
	memset(machine->ram + page * MACHINE_PAGE, 0, MACHINE_PAGE);
}

static void read_into_page(struct machine *machine, size_t page, int fd)
{
	atomic_store_explicit(&machine->touched[page], 1, memory_order_relaxed);
	ssize_t got = pread(fd, machine->ram + page * MACHINE_PAGE, MACHINE_PAGE, 0);
	CHECK(got == (ssize_t)MACHINE_PAGE, "pread into RAM: %zd, errno %d", got, errno);
}

/* Reading brings pages in: the one that is read and, from a layer, its neighbours. They may be in a capture. */
static void read_page(struct machine *machine, size_t page)
{
	size_t first = page < 32 ? 0 : page - 32, end = page + 32 < machine->page_count ? page + 32 : machine->page_count;

	for (size_t i = first; i < end; i++)
		atomic_store_explicit(&machine->touched[i], 1, memory_order_relaxed);
	(void)__atomic_load_n((uint64_t *)(machine->ram + page * MACHINE_PAGE), __ATOMIC_RELAXED);
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct machine *machine = vcpu->machine;
	int source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	size_t at = 0;

	for (uint64_t round = 0;; round++) {
		park(machine);
		uint64_t value = random_next(&vcpu->random);
		switch (vcpu->pattern) {
		case PATTERN_IDLE:
			if (round % 64 == 0)
				machine_write_page(machine, vcpu->region_start, value);
			usleep(200);
			break;
		case PATTERN_FEW:
			machine_write_page(machine, vcpu->region_start + round % 8 % vcpu->region_pages, value);
			break;
		case PATTERN_REGION:
			machine_write_page(machine, vcpu->region_start + at, value);
			at = (at + 1) % vcpu->region_pages;
			break;
		case PATTERN_RANDOM:
			machine_write_page(machine, value / 4096 % machine->page_count, value);
			break;
		case PATTERN_KERNEL:
			read_into_page(machine, value / 4096 % machine->page_count, source);
			break;
		case PATTERN_READ:
			if (round % 16 == 0)
				machine_write_page(machine, vcpu->region_start, value);
			read_page(machine, value / 4096 % machine->page_count);
			usleep(20);
			break;
		}
		atomic_fetch_add_explicit(&vcpu->progress, 1, memory_order_relaxed);
		if (round % 1024 == 1023)
			usleep(100); /* two cores for everybody */
	}
	return NULL;
}

static void *run_disk(void *arg)
{
	struct machine *machine = arg;
	uint64_t random = check_seed;
	char chunk[8192];

	for (;;) {
		park(machine);
		size_t bytes = machine->disk_chunk_bytes;
		pthread_mutex_lock(&machine->disk_lock);
		if (bytes > 0) {
			struct stat info;
			memset(chunk, (int)random_next(&random), sizeof(chunk));
			CHECK(fstat(machine->overlay_fd, &info) == 0, "errno %d", errno);
			/* Appends and, now and then, leaves a hole or rewrites, like qcow2. */
			off_t offset = info.st_size + (random_below(&random, 8) == 0 ? 65536 : 0);
			if (info.st_size > 0 && random_below(&random, 4) == 0)
				offset = (off_t)random_below(&random, (uint64_t)info.st_size);
			if (offset < 8 * 1024 * 1024)
				CHECK(pwrite(machine->overlay_fd, chunk, bytes, offset) == (ssize_t)bytes, "errno %d", errno);
		}
		pthread_mutex_unlock(&machine->disk_lock);
		usleep(100);
	}
	return NULL;
}

void machine_init(struct machine *machine, const char *dir, size_t ram_bytes, size_t vcpu_count, uint64_t seed)
{
	char marker[256];

	*machine = (struct machine){.ram_bytes = ram_bytes,
				    .page_count = ram_bytes / MACHINE_PAGE,
				    .vcpu_count = vcpu_count,
				    .lock = PTHREAD_MUTEX_INITIALIZER,
				    .disk_lock = PTHREAD_MUTEX_INITIALIZER,
				    .changed = PTHREAD_COND_INITIALIZER};
	snprintf(marker, sizeof(marker), "%s/marker", dir);
	snprintf(machine->overlay_path, sizeof(machine->overlay_path), "%s/overlay", dir);
	int fd = open(marker, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)ram_bytes) == 0, "%s: errno %d", marker, errno);
	machine->ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(machine->ram != MAP_FAILED, "errno %d", errno);
	close(fd);
	machine->overlay_fd = open(machine->overlay_path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
	CHECK(machine->overlay_fd >= 0, "errno %d", errno);
	machine->touched = calloc(machine->page_count, 1);
	machine->reference = malloc(ram_bytes);
	CHECK(machine->touched && machine->reference, "no memory");
	for (size_t i = 0; i < vcpu_count; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		vcpu->machine = machine;
		vcpu->random = seed * 16 + i;
		vcpu->region_pages = 1 + random_below(&vcpu->random, machine->page_count);
		vcpu->region_start = random_below(&vcpu->random, machine->page_count - vcpu->region_pages + 1);
		vcpu->pattern = (int)random_below(&vcpu->random, PATTERN_COUNT);
	}
}

void machine_switch_overlay(struct machine *machine, const char *path)
{
	pthread_mutex_lock(&machine->disk_lock);
	close(machine->overlay_fd);
	machine->overlay_fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(machine->overlay_fd >= 0, "%s: errno %d", path, errno);
	snprintf(machine->overlay_path, sizeof(machine->overlay_path), "%s", path);
	pthread_mutex_unlock(&machine->disk_lock);
}

void machine_write_disk(struct machine *machine, size_t bytes)
{
	char chunk[65536];

	memset(chunk, 0x5a, sizeof(chunk));
	pthread_mutex_lock(&machine->disk_lock);
	CHECK(lseek(machine->overlay_fd, 0, SEEK_END) >= 0, "errno %d", errno);
	for (size_t done = 0, now; done < bytes; done += now) {
		now = bytes - done < sizeof(chunk) ? bytes - done : sizeof(chunk);
		CHECK(write(machine->overlay_fd, chunk, now) == (ssize_t)now, "errno %d", errno);
	}
	pthread_mutex_unlock(&machine->disk_lock);
}

void machine_start(struct machine *machine)
{
	machine->threads = machine->vcpu_count + 1;
	for (size_t i = 0; i < machine->vcpu_count; i++)
		CHECK(pthread_create(&machine->vcpus[i].thread, NULL, run_vcpu, &machine->vcpus[i]) == 0, "no thread");
	CHECK(pthread_create(&machine->disk_thread, NULL, run_disk, machine) == 0, "no thread");
}

void machine_stop(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->stop_requested = true;
	while (machine->parked < machine->threads)
		pthread_cond_wait(&machine->changed, &machine->lock);
	pthread_mutex_unlock(&machine->lock);
}

void machine_resume(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->stop_requested = false;
	pthread_cond_broadcast(&machine->changed);
	while (machine->parked > 0) /* or a second stop could count a thread that has not noticed */
		pthread_cond_wait(&machine->changed, &machine->lock);
	pthread_mutex_unlock(&machine->lock);
}

/* Calls each() for every page whose entry in /proc/self/pagemap has one of these bits. */
static size_t each_page_with(struct machine *machine, uint64_t bits, void (*each)(struct machine *machine, size_t page))
{
	uint64_t entries[512];
	size_t count = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "errno %d", errno);
	for (size_t page = 0; page < machine->page_count; page += 512) {
		size_t want = machine->page_count - page < 512 ? machine->page_count - page : 512;
		off_t at = (off_t)(((uintptr_t)machine->ram / MACHINE_PAGE + page) * sizeof(entries[0]));
		CHECK(pread(fd, entries, want * 8, at) == (ssize_t)want * 8, "errno %d", errno);
		for (size_t i = 0; i < want; i++) {
			if (!(entries[i] & bits))
				continue;
			count++;
			if (each)
				each(machine, page + i);
		}
	}
	close(fd);
	return count;
}

static void remember_page(struct machine *machine, size_t page)
{
	memcpy(machine->reference + page * MACHINE_PAGE, machine->ram + page * MACHINE_PAGE, MACHINE_PAGE);
}

void machine_remember(struct machine *machine)
{
	struct stat info;

	if (machine->below)
		memcpy(machine->reference, machine->below, machine->ram_bytes);
	else
		memset(machine->reference, 0, machine->ram_bytes);
	each_page_with(machine, 3ull << 62 /* present or swapped */, remember_page);
	CHECK(fstat(machine->overlay_fd, &info) == 0, "errno %d", errno);
	free(machine->overlay_reference);
	machine->overlay_bytes = (size_t)info.st_size;
	machine->overlay_reference = malloc(machine->overlay_bytes + 1);
	CHECK(machine->overlay_reference, "no memory");
	ssize_t got = pread(machine->overlay_fd, machine->overlay_reference, machine->overlay_bytes, 0);
	CHECK(got == (ssize_t)machine->overlay_bytes, "%zd, errno %d", got, errno);
}

static void write_same(struct machine *machine, size_t page)
{
	atomic_store_explicit(&machine->touched[page], 1, memory_order_relaxed);
	__atomic_fetch_add((uint64_t *)(machine->ram + page * MACHINE_PAGE), 0, __ATOMIC_RELAXED);
}

void machine_touch_protected(struct machine *machine)
{
	each_page_with(machine, PAGEMAP_PROTECTED, write_same);
}

size_t machine_protected_pages(struct machine *machine)
{
	return each_page_with(machine, PAGEMAP_PROTECTED, NULL);
}

void machine_check_advice(struct machine *machine)
{
	uintptr_t start = (uintptr_t)machine->ram, end = start + machine->ram_bytes;
	bool no_huge_pages = access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0; /* the kernel has none to keep away */
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;
	size_t mappings = 0;

	CHECK(maps, "errno %d", errno);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from >= start && to <= end;
		if (!inside || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		CHECK((strstr(line, " nh") || no_huge_pages) && strstr(line, " dd") && strstr(line, " dc"), "%s", line);
		mappings++;
	}
	fclose(maps);
	CHECK(mappings > 0, "no mapping of RAM");
}

void machine_check_running(struct machine *machine)
{
	for (size_t i = 0; i < machine->vcpu_count; i++) {
		uint64_t before = machine->vcpus[i].progress;
		int waited_ms = 0;
		while (machine->vcpus[i].progress == before) {
			CHECK(waited_ms++ < 5000, "vCPU %zu stands still, pattern %d", i, machine->vcpus[i].pattern);
			usleep(1000);
		}
	}
}
