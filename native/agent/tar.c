#include "tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, target[100], magic[8];
	char user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};

_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is one block");

size_t tar_padding(int64_t size)
{
	return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK); /* below a block */
}

/* All bytes, with the checksum's own taken as spaces. */
static unsigned checksum_of(const struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header; /* bytes are looked at as numbers */
	unsigned sum = 8 * ' ';

	for (size_t i = 0; i < sizeof *header; i++)
		if (i < offsetof(struct header, checksum) || i >= offsetof(struct header, type))
			sum += bytes[i];
	return sum;
}

/* Octal digits that fill the field but for its NUL; 0 for what does not fit, which a pax record says then. */
static void put_octal(char *field, size_t width, int64_t number)
{
	bool fits = number >= 0 && number >> (3 * (width - 1)) == 0;

	for (size_t i = width - 1; i > 0; i--) {
		field[i - 1] = (char)('0' + (fits ? number & 7 : 0)); /* a digit */
		number >>= 3;
	}
}

static void add_block(struct text *text, const struct tar_entry *entry, char type)
{
	struct header header = { .type = type, .magic = "ustar\0" "0" };

	/* As much as fits: the rest is in a pax record. */
	strncpy(header.name, entry->path, sizeof header.name);
	if (entry->target != NULL)
		strncpy(header.target, entry->target, sizeof header.target);
	put_octal(header.mode, sizeof header.mode, entry->mode);
	put_octal(header.uid, sizeof header.uid, entry->uid);
	put_octal(header.gid, sizeof header.gid, entry->gid);
	put_octal(header.size, sizeof header.size, entry->size);
	put_octal(header.mtime, sizeof header.mtime, entry->mtime);
	put_octal(header.checksum, sizeof header.checksum - 1, checksum_of(&header));
	text_add(text, (const char *)&header, sizeof header); /* the block's bytes */
}

/* "LENGTH NAME=VALUE\n", where the length counts itself. */
static void add_record(struct text *records, const char *name, const char *value)
{
	char digits[24];
	size_t rest = strlen(name) + strlen(value) + 3, length = rest + 1;

	while (length != rest + (size_t)snprintf(digits, sizeof digits, "%zu", length)) /* not negative */
		length = rest + strlen(digits);
	text_put(records, digits);
	text_put(records, " ");
	text_put(records, name);
	text_put(records, "=");
	text_put(records, value);
	text_put(records, "\n");
}

static void add_number_record(struct text *records, const char *name, int64_t number, int64_t most)
{
	char digits[24];

	if (number >= 0 && number <= most)
		return;
	snprintf(digits, sizeof digits, "%lld", (long long)number); /* as %lld takes it */
	add_record(records, name, digits);
}

static void add_zeros(struct text *text, size_t count)
{
	static const char zeros[TAR_BLOCK];

	text_add(text, zeros, count);
}

void tar_add_header(struct text *text, const struct tar_entry *entry)
{
	struct text records = { 0 };

	if (strlen(entry->path) > sizeof((struct header *)NULL)->name)
		add_record(&records, "path", entry->path);
	if (entry->target != NULL && strlen(entry->target) > sizeof((struct header *)NULL)->target)
		add_record(&records, "linkpath", entry->target);
	add_number_record(&records, "size", entry->size, 077777777777);
	add_number_record(&records, "mtime", entry->mtime, 077777777777);
	add_number_record(&records, "uid", entry->uid, 07777777);
	add_number_record(&records, "gid", entry->gid, 07777777);
	if (records.length > 0) {
		const struct tar_entry more = { .path = "pax", .mode = 0644, .size = (int64_t)records.length };

		add_block(text, &more, 'x');
		text_add(text, records.bytes, records.length);
		add_zeros(text, tar_padding(more.size));
	}
	text->failed |= records.failed;
	text_free(&records);
	add_block(text, entry, (char)entry->type); /* a digit */
}

/* Base 256, where the first bit says so and the second is the sign. TAR_NONE for what is beyond 2^62. */
static int64_t read_base256(const unsigned char *at, const unsigned char *end)
{
	bool negative = (*at & 0x40) != 0;
	/* As two's complement has it, in an unsigned one that may be shifted: a negative number's upper bits are set. */
	uint64_t number = (negative ? ~(uint64_t)0x7f : 0) | (*at++ & 0x7f);

	for (; at < end; at++) {
		if (number >> 54 != 0 && number >> 54 != 0x3ff)
			return TAR_NONE;
		number = number << 8 | *at;
	}
	return (int64_t)number; /* its sign is that of the field */
}

/* Octal, or base 256. TAR_NONE for neither. */
static int64_t read_number(const char *field, size_t width)
{
	const unsigned char *at = (const unsigned char *)field; /* bytes are looked at as numbers */
	const unsigned char *end = at + width;
	int64_t number = 0;

	if ((*at & 0x80) != 0)
		return read_base256(at, end);
	while (at < end && *at == ' ')
		at++;
	while (at < end && *at >= '0' && *at <= '7' && number >> 59 == 0)
		number = number << 3 | (*at++ - '0');
	return at < end && *at != 0 && *at != ' ' ? TAR_NONE : number;
}

static int read_path(struct tar_reader *reader, const struct header *header)
{
	bool has_prefix = memcmp(header->magic, "ustar", 6) == 0 && header->prefix[0] != 0;

	if (reader->path[0] == 0)
		snprintf(reader->path, sizeof reader->path, "%.*s%s%.*s", has_prefix ? (int)sizeof header->prefix : 0,
			 header->prefix, has_prefix ? "/" : "", (int)sizeof header->name, header->name);
	if (reader->target[0] == 0)
		snprintf(reader->target, sizeof reader->target, "%.*s", (int)sizeof header->target, header->target);
	return reader->path[0] == 0 ? -EBADMSG : 0;
}

/* What a type without entries of its own is read as: some archives have other letters for a file. */
static int type_of(const struct header *header, const char *path)
{
	size_t length = strlen(path);

	if (header->type == 0 || header->type == '7')
		return length > 0 && path[length - 1] == '/' ? TAR_FOLDER : TAR_FILE;
	return header->type >= '0' && header->type <= '6' ? header->type : -ENOTSUP;
}

/* What a record said of it, or the header. */
static int64_t number_of(const struct tar_reader *reader, enum tar_number number, const char *field, size_t width)
{
	return reader->numbers[number] != TAR_NONE ? reader->numbers[number] : read_number(field, width);
}

static int read_entry(struct tar_reader *reader, const struct header *header, struct tar_entry *entry)
{
	int64_t mode = read_number(header->mode, sizeof header->mode);
	int64_t uid = number_of(reader, TAR_UID, header->uid, sizeof header->uid);
	int64_t gid = number_of(reader, TAR_GID, header->gid, sizeof header->gid);
	int64_t size = number_of(reader, TAR_SIZE, header->size, sizeof header->size);
	int64_t mtime = number_of(reader, TAR_MTIME, header->mtime, sizeof header->mtime);
	int error = read_path(reader, header);
	int type = error == 0 ? type_of(header, reader->path) : error;

	if (type < 0)
		return type;
	if (mode < 0 || uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX || size < 0)
		return -EBADMSG;
	*entry = (struct tar_entry){ .type = (enum tar_type)type, .path = reader->path, .target = reader->target,
				     .mode = (mode_t)mode & 07777, .uid = (uid_t)uid, .gid = (gid_t)gid, /* in range */
				     .size = type == TAR_FILE ? size : 0, .mtime = mtime == TAR_NONE ? 0 : mtime };
	return 1;
}

static int keep(char *to, size_t room, const char *value, size_t length)
{
	if (length >= room)
		return -ENAMETOOLONG;
	if (memchr(value, 0, length) != NULL)
		return -EBADMSG;
	memcpy(to, value, length);
	to[length] = 0;
	return 0;
}

/* In the order of enum tar_number. */
static const char *const NUMBERS[TAR_NUMBERS] = { "size", "uid", "gid", "mtime" };

/* Whole: of a time with decimals the second that it is in. Only times may be below 0. */
static int keep_number(int64_t *to, enum tar_number number, const char *value, size_t length)
{
	char text[40];
	int error = keep(text, sizeof text, value, length);
	bool negative = number == TAR_MTIME && text[0] == '-';
	const char *digits = text + (negative ? 1 : 0);
	char *end;

	if (error != 0 || *digits < '0' || *digits > '9')
		return -EBADMSG;
	*to = strtoll(digits, &end, 10);
	if (negative)
		*to = -*to - (strpbrk(end, "123456789") != NULL);
	return 0;
}

static int take_record(struct tar_reader *reader, const char *name, size_t name_length, const char *value, size_t length)
{
	if (name_length == 4 && memcmp(name, "path", 4) == 0)
		return keep(reader->path, sizeof reader->path, value, length);
	if (name_length == 8 && memcmp(name, "linkpath", 8) == 0)
		return keep(reader->target, sizeof reader->target, value, length);
	if (name_length > 10 && memcmp(name, "GNU.sparse", 10) == 0)
		return -ENOTSUP;
	for (size_t i = 0; i < TAR_NUMBERS; i++)
		if (strlen(NUMBERS[i]) == name_length && memcmp(name, NUMBERS[i], name_length) == 0)
			return keep_number(&reader->numbers[i], (enum tar_number)i, value, length); /* below TAR_NUMBERS */
	return 0;
}

static int take_pax(struct tar_reader *reader)
{
	const char *at = reader->records, *end = at + reader->record_bytes;
	int error = 0;

	while (error == 0 && at < end) {
		const char *space = memchr(at, ' ', (size_t)(end - at)); /* not negative */
		const char *equals, *next;
		long length = strtol(at, NULL, 10); /* ended by the space, or by the NUL behind all records */

		if (space == NULL || length <= space - at + 1 || length > end - at || at[length - 1] != '\n')
			return -EBADMSG;
		next = at + length;
		equals = memchr(space, '=', (size_t)(next - space)); /* likewise */
		if (equals == NULL)
			return -EBADMSG;
		error = take_record(reader, space + 1, (size_t)(equals - space - 1), equals + 1,
				    (size_t)(next - equals - 2)); /* both within the record */
		at = next;
	}
	return error;
}

static int take_records(struct tar_reader *reader)
{
	size_t length = strnlen(reader->records, reader->record_bytes);
	char type = reader->records_of;

	reader->records[reader->record_bytes] = 0;
	reader->records_of = 0;
	if (type == 'x')
		return take_pax(reader);
	if (type == 'L')
		return keep(reader->path, sizeof reader->path, reader->records, length);
	return type == 'K' ? keep(reader->target, sizeof reader->target, reader->records, length) : 0;
}

static int begin_records(struct tar_reader *reader, const struct header *header)
{
	int64_t size = read_number(header->size, sizeof header->size);

	if (size < 0 || size >= (int64_t)sizeof reader->records - TAR_BLOCK)
		return -ENAMETOOLONG;
	reader->records_of = header->type;
	reader->record_bytes = 0;
	reader->wanted_bytes = (size_t)size; /* in range */
	return size == 0 ? take_records(reader) : 0;
}

static int more_records(struct tar_reader *reader, const char *block)
{
	size_t left = reader->wanted_bytes - reader->record_bytes;
	size_t count = left < TAR_BLOCK ? left : TAR_BLOCK;

	memcpy(reader->records + reader->record_bytes, block, count);
	reader->record_bytes += count;
	return reader->record_bytes == reader->wanted_bytes ? take_records(reader) : 0;
}

void tar_forget(struct tar_reader *reader)
{
	reader->path[0] = reader->target[0] = 0;
	reader->ended = false;
	for (size_t i = 0; i < TAR_NUMBERS; i++)
		reader->numbers[i] = TAR_NONE;
}

int tar_take_block(struct tar_reader *reader, const char *block, struct tar_entry *entry)
{
	static const char zeros[TAR_BLOCK];
	struct header header;

	if (reader->records_of != 0)
		return more_records(reader, block);
	if (memcmp(block, zeros, TAR_BLOCK) == 0) {
		reader->ended = true;
		return 0;
	}
	memcpy(&header, block, sizeof header);
	if (read_number(header.checksum, sizeof header.checksum) != (int64_t)checksum_of(&header))
		return -EBADMSG;
	if (strchr("xLKg", header.type) != NULL && header.type != 0)
		return begin_records(reader, &header);
	return read_entry(reader, &header, entry);
}
