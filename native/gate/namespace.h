/* namespace.h - a process that sees of the host's files only those it is to have, made without privileges. */
#pragma once

/*
 * Takes the process, which has one thread, to a user, mount, IPC and network namespace of its own, as the same user; the last has nothing in it. Its root is empty but for the paths of
 * `rules` (each `read=PATH` or `write=PATH`, the list ends with NULL), where they were; what is not written to cannot be, by whatever mode.
 * A path that is not there is passed over. 0, or -errno and in `step` what failed.
 */
int namespace_enter(char **rules, const char **step);
