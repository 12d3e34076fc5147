#!/bin/sh
# Expects the fake VMM to find a page that differs, or a branch that fails, with each library that build_tracking_mutants.sh has broken.
# Usage: tracking_mutants.sh BUILD_DIR, from native/pager.
set -eu
bin=$PWD/$1
count=0
for dir in "$bin"/tracking_mutants/*/; do
	scenario=$(cat "$dir/scenario")
	if FAKE_VMM_PRELOAD=${dir}libpager.so "$bin/test/fake_vmm.preloaded" --only "$scenario" --seed 1 --runs 3 >"$dir/out" 2>&1; then
		echo "tracking_mutants: '$(cat "$dir/name")' survives" >&2
		exit 1
	fi
	count=$((count + 1))
done
echo "tracking_mutants: $count broken captures, all noticed"
