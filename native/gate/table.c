#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "calls.h"

#define SEQ_FD_SHIFT 16 /* TABLE_FDS fits above it; below it a count, which wraps */

static struct descriptor descriptors[TABLE_FDS];
static atomic_bool known[TABLE_FDS];
static unsigned counts[2]; /* TCP, UDP */
static uint32_t made;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void table_lock(void)
{
	pthread_mutex_lock(&lock);
}

void table_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

bool table_knows(int fd)
{
	return fd >= 0 && fd < TABLE_FDS && atomic_load_explicit(&known[fd], memory_order_acquire);
}

struct descriptor *table_find(int fd)
{
	return table_knows(fd) ? &descriptors[fd] : NULL;
}

int table_fd_of(uint32_t seq)
{
	return (int)(seq >> SEQ_FD_SHIFT); /* 16 bits */
}

struct descriptor *table_find_seq(uint32_t seq)
{
	struct descriptor *descriptor = table_find(table_fd_of(seq));

	return descriptor && descriptor->seq == seq ? descriptor : NULL;
}

bool table_has_room(bool is_udp)
{
	return counts[is_udp] < (is_udp ? TABLE_UDP_MAX : TABLE_TCP_MAX);
}

int table_add(int fd, bool is_udp)
{
	if (fd >= TABLE_FDS)
		return -EMFILE;
	table_forget(fd); /* nothing, unless it was closed in a way no hook sees */
	/* The cast keeps all: fd is below TABLE_FDS. */
	descriptors[fd] = (struct descriptor){
		.state = FRESH, .is_udp = is_udp, .seq = (uint32_t)fd << SEQ_FD_SHIFT | (++made & 0xffff)};
	counts[is_udp]++;
	atomic_store_explicit(&known[fd], true, memory_order_release);
	return 0;
}

void table_forget(int fd)
{
	struct descriptor *descriptor = table_find(fd);

	if (!descriptor)
		return;
	atomic_store_explicit(&known[fd], false, memory_order_release);
	if (descriptor->state == PENDING || descriptor->state == DATAGRAM)
		call_close(descriptor->far_fd);
	if (descriptor->state == PENDING)
		call_close(descriptor->hold_fd);
	counts[descriptor->is_udp]--;
	descriptor->state = ABSENT;
}
