/*
 * machine.h - the inside of the fake VMM: RAM in a marker file as QEMU maps it, vCPU threads that write to it, and
 * a disk overlay that grows while they run.
 *
 * machine_stop() returns when every thread stands still, like vm_stop(). machine_remember() then copies all of RAM
 * and the overlay: the reference every capture of this stop is compared with.
 */
#ifndef BOUGH_TEST_MACHINE_H
#define BOUGH_TEST_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_PAGE 4096ul
#define MACHINE_MAX_VCPUS 3

enum pattern {
	PATTERN_IDLE,       /* next to nothing */
	PATTERN_FEW,        /* a handful of pages, as fast as it goes */
	PATTERN_REGION,     /* one region after another page by page, again and again */
	PATTERN_RANDOM,     /* any page */
	PATTERN_KERNEL,     /* pages written by the kernel on our behalf: pread() into RAM */
	PATTERN_READ,       /* reads any page, writes few */
	PATTERN_COUNT
};

struct machine;

struct vcpu {
	struct machine *machine;
	pthread_t thread;
	_Atomic int pattern;
	_Atomic uint64_t progress; /* writes so far */
	uint64_t random;
	size_t region_start, region_pages;
};

struct machine {
	uint8_t *ram;
	size_t ram_bytes;
	size_t page_count;
	const uint8_t *below;     /* what pages hold that nobody wrote: the layers; NULL is zeroes */
	_Atomic uint8_t *touched; /* per page: written, or near one that was read, since RAM was mapped */
	struct vcpu vcpus[MACHINE_MAX_VCPUS];
	size_t vcpu_count;
	pthread_t disk_thread;
	pthread_mutex_t disk_lock; /* while the overlay is written to, or changed for another */
	char overlay_path[256];
	int overlay_fd;
	_Atomic uint64_t disk_chunk_bytes; /* how much the disk thread appends at a time; 0: nothing */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic bool stop_requested;
	size_t parked, threads;
	uint8_t *reference;
	uint8_t *overlay_reference;
	size_t overlay_bytes;
};

/* Creates the marker file and the overlay in dir and maps RAM from the marker, as QEMU does. */
void machine_init(struct machine *machine, const char *dir, size_t ram_bytes, size_t vcpu_count, uint64_t seed);
/* Starts the threads; the machine runs. */
void machine_start(struct machine *machine);
void machine_stop(struct machine *machine);
void machine_resume(struct machine *machine);
/* Copies RAM and overlay of the stopped machine, without bringing in a page that is not there yet. */
void machine_remember(struct machine *machine);
/* Puts an empty overlay on top, as a switch does: from now on the disk is written to there. */
void machine_switch_overlay(struct machine *machine, const char *path);
/* Appends to the overlay as a guest would that writes its disk. */
void machine_write_disk(struct machine *machine, size_t bytes);
/* Writes to one page as whoever calls: QEMU's main thread, say. */
void machine_write_page(struct machine *machine, size_t page, uint64_t value);
/* Makes one page all zeroes, the same way. */
void machine_zero_page(struct machine *machine, size_t page);
/* Writes to all pages the kernel holds protected: returns only when no protection keeps a writer waiting. */
void machine_touch_protected(struct machine *machine);
/* How many pages the kernel holds write-protected. */
size_t machine_protected_pages(struct machine *machine);
/* CHECKs that the kernel keeps huge pages, core dumps and children of fork() away from every mapping of RAM. */
void machine_check_advice(struct machine *machine);
/* CHECKs that every vCPU gets on. */
void machine_check_running(struct machine *machine);

#endif
