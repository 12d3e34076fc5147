#!/bin/sh
# Breaks which pages the pager captures, one way at a time, each in a library of its own: BUILD_DIR/tracking_mutants/NUMBER/libpager.so.
# Beside it, `name` says what is broken, and `scenario` which of the fake VMM's must notice. An edit that no longer matches the source fails.
# All but the broken file is as in the library that BUILD_DIR holds.
# Usage: build_tracking_mutants.sh CC BUILD_DIR, from native/pager.
set -eu
cc=$1
built=$PWD/$2
all=$built/tracking_mutants
sources="kernel thread ram layer sweep tracker armed qmp window zeroes capture ground fit stage disk aside memory branch control preload"
count=0
rm -rf "$all"
mutant() {
	name=$1 file=$2 edit=$3 scenario=${4:-random}
	count=$((count + 1))
	dir=$all/$count
	mkdir -p "$dir"
	sed "$edit" "$file" >"$dir/$file"
	if cmp -s "$file" "$dir/$file"; then
		echo "tracking_mutants: '$name' changes nothing: adapt its edit" >&2
		exit 1
	fi
	others=
	for source in $sources; do
		if [ "$source.c" != "$file" ]; then others="$others $built/$source.o"; fi
	done
	$cc -std=gnu11 -O1 -g -fPIC -shared -fvisibility=hidden -pthread -iquote . -o "$dir/libpager.so" "$dir/$file" $others
	rm "$dir/$file"
	echo "$name" >"$dir/name"
	echo "$scenario" >"$dir/scenario"
}
mutant 'a scan loses its last run' kernel.c 's/for (int i = 0; i < found; i++) {/for (int i = 0; i + 1 < found; i++) {/'
mutant 'nothing counts as written' kernel.c 's/request.category_mask = CATEGORY_WRITTEN;/request.category_mask = CATEGORY_WRITTEN | CATEGORY_SWAPPED;/'
mutant 'what is protected is not' kernel.c 's/.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,/.mode = 0,/'
mutant 'a run ends one page early' capture.c 's/^\tfound->list\[found->count++\] = \*run;/&\n\tfound->list[found->count - 1].end -= PAGE_BYTES;/'
mutant 'pages are copied, and protected afterwards' memory.c 's/int error = capture_scan_and_arm(capture);/int error = capture_scan(capture, SCAN_WRITTEN) ? -EIO : capture_write_found(capture, 0, NULL);\n\n\tif (!error) {\n\t\terror = capture_scan_and_arm(capture);\n\t\tcapture->found.count = 0;\n\t}/; s/#include <stdint.h>/&\n#include <errno.h>/'
mutant 'what is protected is not copied' capture.c '/^int capture_scan_and_arm/,/^}/s/note_run, capture);/note_run, \&(struct capture){.layer_fd = -1});/'
mutant 'what was lent is not taken back' tracker.c '/^int tracker_take_back/,/^}/s/tracker->on ?/0 ?/'
mutant 'what the pause staged stays unwritten' branch.c 's/^\treturn stage_write(.*/\treturn 0;/'
mutant 'zeroes on nothing are written' memory.c 's/leaves_out_zeroes = flat;/leaves_out_zeroes = false;/' zero-pages
mutant 'a run of zeroes ends one page late' zeroes.c 's/run.end = skip_pages(run.start, end, true);/& run.end += run.end < end ? PAGE_BYTES : 0;/' zero-pages
mutant 'zeroes over a layer are left out' memory.c 's/^\(\tint error = capture_prepare(.*\)/\1\n\n\tmemory->capture.leaves_out_zeroes = true;/' zero-pages
mutant 'what was armed for a branch that failed is gone on from' branch.c '/^static void lay_ground/,/^}/s/tracker_forget(tracker);//' line
mutant 'a branch that failed is gone on from' branch.c 's/if (!outcome.error \&\& branch.memory.is_tracked)/if (branch.memory.is_tracked)/' line
mutant 'whatever is named is gone on from' tracker.c 's/ && strcmp(tracker->known, name) == 0//' line
mutant 'a layer that is not there is stood on' ground.c '/^static bool lay_layer/,/^}/s/return false;/return true;/' line
mutant 'what a layer has not held for long is left out' kernel.c 's/categories & CATEGORY_FILE ? 0/categories \& CATEGORY_PRESENT ? 0/' line
mutant 'one that goes on copies what is private' memory.c 's/ && !memory->goes_on)/)/' line
mutant 'the close of the device state does not wait' window.c '/^void window_on_close/,/^}/{s/while (phase == INSIDE)/while (false)/;s/phase == OPENED/false/}; s/ \&\& was != CLOSED)/ \&\& was == ARMED)/'
mutant 'a close that was not seen is taken for one' window.c 's/ \&\& was != CLOSED)/ \&\& was == ARMED)/' qmp-faults
mutant 'the body is not begun beside the save' window.c '/^static void entered/,/^}/s/phase == OPENED/false/' qmp-faults
touch "$all/.built"
