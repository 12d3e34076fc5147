#!/bin/sh
# Breaks one invariant of sweep.c at a time, in a copy, and expects sweep_model to notice. A mutant that survives, or
# one whose edit no longer matches the source, fails: the test of the test.
# Usage: mutants.sh CC BUILD_DIR, from native/pager.
set -eu
cc=$1
dir=$2/mutants
mkdir -p "$dir"
count=0
mutant() {
	name=$1
	sed "$2" sweep.c >"$dir/sweep.c"
	if cmp -s sweep.c "$dir/sweep.c"; then
		echo "mutants: '$name' changes nothing: adapt its edit" >&2
		exit 1
	fi
	$cc -std=gnu11 -O1 -g -I. -DSWEEP_SOURCE="\"$dir/sweep.c\"" -iquote . -o "$dir/sweep_model" test/sweep_model.c
	if SWEEP_SEEDS=2000 "$dir/sweep_model" >"$dir/out" 2>&1; then
		echo "mutants: '$name' survives" >&2
		exit 1
	fi
	count=$((count + 1))
}
mutant 'a fault releases before the copy' '/^void sweep_fault/,/^}/s/if (claim(sweep, page)) {/sweep->port.release(sweep->port.arg, page, 1); &/'
mutant 'every claim succeeds' 's/return atomic_compare_exchange_strong(&sweep->states\[page\], &expected, COPYING);/(void)expected; return sweep->states[page] != OUTSIDE;/'
mutant 'a fault does not wait for the copy' '/^void sweep_fault/,/^}/s/while (.*) == COPYING)/while (0)/'
mutant 'a fault waits for the sweep' '/^void sweep_fault/,/^}/{s/if (claim(sweep, page))/if (0)/;s/while (.*) == COPYING)/while (sweep->states[page] != DONE)/}'
mutant 'a page is done before its copy' 's/^\tint error = sweep->port.copy/\tsweep->states[page] = DONE; &/'
mutant 'a failed copy is never done' 's/atomic_compare_exchange_strong(&sweep->error, &none, error);/{ sweep->error = error + none; return; }/'
mutant 'the last error is reported' 's/atomic_compare_exchange_strong(&sweep->error, &none, error);/sweep->error = error + none;/'
mutant 'the last batch stays protected' 's/release_run(sweep, unreleased, sweep->page_count);//'
mutant 'a batch reaches one page too far' 's/release_run(sweep, unreleased, page + 1);/release_run(sweep, unreleased, page + 2);/'
mutant 'the sweep ends before the fault path' '/^void sweep_run/,/^}/s/while (.*) == COPYING)/while (0)/'
mutant 'pages outside are copied' 's/uint8_t expected = FREE;/uint8_t expected = sweep->states[page] == OUTSIDE ? OUTSIDE : FREE;/'
echo "mutants: $count broken sweeps, all noticed"
