/*
 * Seeded runs over headers of tar archives: what is written is read again as it was, whatever the lengths of names and numbers; and what was
 * spoilt is read or refused, within its memory, as the sanitizers see.
 *
 *   tar SEED RUNS
 */
#include "tar.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long state;

static unsigned random_below(unsigned limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % limit; /* the upper bits are the good ones */
}

/* No NUL, and as long as chance has it: around what a header holds, or up to what a path may have. */
static void random_name(char *name)
{
	unsigned length = 1 + random_below(random_below(3) == 0 ? 4000 : 160);

	for (unsigned i = 0; i < length; i++)
		name[i] = (char)(1 + random_below(255)); /* any other byte */
	name[length] = 0;
}

static int64_t random_number(int bits)
{
	return (int64_t)(((unsigned long long)random_below(1u << 31) << 31 | random_below(1u << 31)) >> (62 - bits));
}

/* Reads blocks until an entry is whole, as unpacking does. */
static int read_all(struct tar_reader *reader, const struct text *text, struct tar_entry *entry)
{
	int taken = 0;

	tar_forget(reader);
	for (size_t at = 0; taken == 0 && at + TAR_BLOCK <= text->length; at += TAR_BLOCK)
		taken = tar_take_block(reader, text->bytes + at, entry);
	return taken;
}

static void round_trip(void)
{
	static const enum tar_type types[] = { TAR_FILE, TAR_FOLDER, TAR_LINK, TAR_HARD_LINK, TAR_FIFO };
	static struct tar_reader reader;
	char path[4097], target[4097];
	struct tar_entry entry = { .type = types[random_below(5)], .path = path, .target = target }, read;
	struct text text = { 0 };

	random_name(path);
	random_name(target);
	entry.mode = random_below(010000);
	entry.uid = (uid_t)random_number(1 + (int)random_below(31)); /* below 2^32 */
	entry.gid = (gid_t)random_number(1 + (int)random_below(31)); /* likewise */
	entry.mtime = random_number(1 + (int)random_below(33)) * (random_below(3) == 0 ? -1 : 1);
	entry.size = entry.type == TAR_FILE ? random_number(1 + (int)random_below(45)) : 0;
	tar_add_header(&text, &entry);
	assert(!text.failed && text.length % TAR_BLOCK == 0);
	memset(&reader, 0, sizeof reader);
	assert(read_all(&reader, &text, &read) == 1);
	assert(read.type == entry.type && strcmp(read.path, path) == 0 && strcmp(read.target, target) == 0);
	assert(read.mode == entry.mode && read.uid == entry.uid && read.gid == entry.gid && read.size == entry.size &&
	       read.mtime == entry.mtime);
	text_free(&text);
}

/* The sum is made right again, or nothing behind it would be reached. */
static void mend_checksum(char *block)
{
	unsigned sum = 0;

	memset(block + 148, ' ', 8);
	for (int i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum);
}

static int spoilt(void)
{
	static struct tar_reader reader;
	char path[4097], target[4097];
	const struct tar_entry entry = { .type = TAR_LINK, .path = path, .target = target };
	struct tar_entry read;
	struct text text = { 0 };
	int taken;

	random_name(path);
	random_name(target);
	tar_add_header(&text, &entry);
	for (unsigned i = 1 + random_below(6); i > 0; i--)
		text.bytes[random_below((unsigned)text.length)] = (char)random_below(256); /* any byte */
	if (random_below(3) > 0)
		for (size_t at = 0; at < text.length; at += TAR_BLOCK)
			if (at == 0 || at + TAR_BLOCK == text.length)
				mend_checksum(text.bytes + at);
	memset(&reader, 0, sizeof reader);
	taken = read_all(&reader, &text, &read);
	assert(taken == 0 || taken == 1 || taken == -EBADMSG || taken == -ENOTSUP || taken == -ENAMETOOLONG);
	if (taken == 1)
		assert(strlen(read.path) < 4097 && strlen(read.target) < 4097 && read.size >= 0);
	text_free(&text);
	return taken < 0;
}

int main(int count, char **args)
{
	int runs = count > 2 ? atoi(args[2]) : 1000, refused = 0;

	state = count > 1 ? strtoull(args[1], NULL, 10) : 1;
	for (int i = 0; i < runs; i++) {
		round_trip();
		refused += spoilt();
	}
	assert(refused > 0 && refused < runs);
	printf("tar: %d headers there and back, %d of as many spoilt ones refused, seed %s\n", runs, refused,
	       count > 1 ? args[1] : "1");
	return 0;
}
