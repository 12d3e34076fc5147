/*
 * protocol.h - what crosses the control socket between the daemon and the pager.
 *
 * One request at a time, one line each way (a branch answers with two). A line is fields separated by tabs: the
 * first names the command or the outcome, the others are key=value. No field may hold a tab or a newline.
 *
 *   request                               answer
 *   hello                                 ok version= page_bytes= tracking=async|sync|none
 *   map marker= [layer=]...               ok ram_bytes= mapped_runs=
 *       The mapping of the marker file becomes anonymous memory, and the data of each layer, bottom first, is
 *       mapped copy-on-write over it. Once per VMM, before its vCPUs first run.
 *   branch mode=live|diff|full layer= state= deadline_ms= [overlay= tail= [spare= switch=]...] [durable=] [fold_from=]
 *          [name=] [since= [own=]... [own_runs=]] [tracking=] [runs_max=] [ready_ms=]
 *       overlay: the file of the VM's topmost disk overlay; its bytes at the pause are written to tail
 *       spare, switch: the file of an empty overlay, and the QMP command that puts it on top; up to 4, used in order,
 *                where the overlay has grown beyond what a pause may copy: before the first pause, or stopped in a later one. Without
 *                any it is copied whatever its size
 *       durable: a second copy of the layer, fsynced inside the pause window (diff and full)
 *       fold_from: index of a mapped layer (live and diff): the new layer also holds all that this one and those above it
 *                hold, so that it stands on the layers below them alone
 *       name: what a later `since` calls this branch, at most 127 bytes
 *       since, own: the branch before, if it was live, and the layer files, bottom first and at most 64, that its snapshot stands on
 *                above the mapped layers this one would stand on, its own layer last (live, async). If nothing came in between, the new
 *                layer stands on those too, holds what was written since, and fold_from has been heeded before: went_on=1. In any
 *                doubt it is captured as without `since`: went_on=0
 *       own_runs: how many runs of data those files have together; counted where it is not told, or 0
 *       runs_max: the longest list of runs the answer may hold, in bytes; a branch whose layer has more of them fails
 *       ready_ms: once nobody has asked for anything for so long after this branch, QEMU is had to read what the next begins with
 *       tracking: async (default where the kernel can) or sync, for tests and old kernels
 *       Every file that is written may be there already if it is empty: who may not write to its folder is given it so.
 *                                         running pause_us= events_us= stop_us= scan_us= copy_us= precopy_us= prepare_us= reserve_us= ...
 *                                         ok captured_bytes= sweep_us= faults= went_on=0|1 runs=offset:length,...
 *
 *   any request may end in                error errno= operation=
 *
 * "running" is sent as soon as the guest runs again; what follows it is the outcome of the whole branch. A branch
 * that fails leaves the guest running; its files are the daemon's to remove, and whether the disk was switched QEMU knows.
 *
 * The twin of this file is src/pager/protocol.ts. The tests of both read protocol-vectors.txt.
 */
#ifndef BOUGH_PROTOCOL_H
#define BOUGH_PROTOCOL_H

#define PAGER_PROTOCOL_VERSION 2

/* Environment of the VMM: where the pager listens, and the QMP socket that is its own. */
#define PAGER_ENV_SOCKET "BOUGH_PAGER_SOCKET"
#define PAGER_ENV_QMP "BOUGH_PAGER_QMP"
/* Where the VMM has no privileges: the number of an open descriptor of /dev/userfaultfd. */
#define PAGER_ENV_USERFAULTFD "BOUGH_PAGER_USERFAULTFD"

/* The longest request: mode, paths (PATH_MAX each) and one QMP command. */
#define PAGER_LINE_MAX (256 * 1024)

#endif
