/*
 * What an errand does to tell of changes below a path, until its client goes.
 *
 *   EVENT {watching: folders}          from here on, whatever changes is told
 *   EVENT {changes: [{type, path, folder?}, …]}   created, written, removed, metadata; a rename is removed and created
 *   EVENT {missed: true}               some changes before this were not told, of all that is watched
 *   EVENT {unwatched: path}            changes in that folder are not told: there are too many
 *   END {}                             what is watched is gone
 *
 * The kernel watches folders one by one. A folder that appears is watched as soon as that is heard of, and what is in it by then is told as
 * created, so that nothing falls between, though it may be told twice. A client that reads slowly makes the kernel's queue overflow, which is
 * said and never hidden: the tree is gone through again then, and only what changed meanwhile is untold.
 *
 * Not handled: other file systems that are mounted below it, into which it goes like into any folder; and changes that are not made through
 * this kernel's file system calls (those through memory maps, or of a network's other side).
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include "errand.h"

int file_watch(const struct file_request *request, struct exchange *exchange, struct text *answer);

#endif
