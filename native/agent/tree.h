/*
 * What an errand does with whole trees, as tar archives.
 *
 * pack     FILE frames, END {}: a folder's content: files, folders, links, FIFOs. A file that becomes shorter meanwhile is filled up with
 *          zeros. Sockets and devices are left out; other names of a file (hard links) become files.
 * unpack   FILE frames, an empty one last, END {entries}: into a folder. What is there gives way, folders stay. Nothing is put, and no
 *          link followed, out of that folder: the kernel resolves each name beneath it. Owners are those of the archive for root; a link
 *          or a FIFO is given away only while it is the one that was made. What fails in the middle leaves what was unpacked until then.
 *
 * Not handled: extended attributes, devices (-ENOTSUP), times of folders; whoever is not root may always enter and write his folders.
 */
#ifndef AGENT_TREE_H
#define AGENT_TREE_H

#include "errand.h"

int tree_pack(const struct file_request *request, struct exchange *exchange, struct text *answer);
int tree_unpack(const struct file_request *request, struct exchange *exchange, struct text *answer);

#endif
