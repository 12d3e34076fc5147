/*
 * Headers of tar archives: ustar, with pax records for what does not fit, and GNU's long names when reading. Names are bytes.
 *
 * Not handled: sparse files, multi-volume archives, GNU's incremental kinds; they are -ENOTSUP.
 */
#ifndef AGENT_TAR_H
#define AGENT_TAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "text.h"

#define TAR_BLOCK 512

/* What '0' to '6' are in an archive. */
enum tar_type {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_LINK = '2',
	TAR_CHARACTER = '3',
	TAR_BLOCK_DEVICE = '4',
	TAR_FOLDER = '5',
	TAR_FIFO = '6',
};

struct tar_entry {
	enum tar_type type;
	const char *path, *target; /* target may be NULL */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t size, mtime;
};

/* Adds the blocks in front of an entry's bytes. Memory shows in text->failed. */
void tar_add_header(struct text *text, const struct tar_entry *entry);

/* How many zeros follow so many bytes. */
size_t tar_padding(int64_t size);

/* No number: times may be before 1970. */
#define TAR_NONE INT64_MIN

/* What a header may be too short for. */
enum tar_number { TAR_SIZE, TAR_UID, TAR_GID, TAR_MTIME, TAR_NUMBERS };

/* Takes blocks one after another until an entry's header is whole. */
struct tar_reader {
	char path[4097], target[4097];
	char records[16384]; /* of the header that says more about the next */
	size_t record_bytes, wanted_bytes;
	char records_of; /* its type, or 0 */
	int64_t numbers[TAR_NUMBERS]; /* from pax records, or TAR_NONE */
	bool ended;
};

/* Begins anew, in front of an archive and after each entry. */
void tar_forget(struct tar_reader *reader);

/* 1 when *entry is whole (its strings are the reader's), 0 when more is wanted or the archive has ended, -EBADMSG, -ENOTSUP, -ENAMETOOLONG. */
int tar_take_block(struct tar_reader *reader, const char *block, struct tar_entry *entry);

#endif
