#!/bin/sh
# Expects the boot sector under KVM to notice each library that build_tracking_mutants.sh has broken.
# Left out are those about pages of zeroes, of which it has none to lose, about branches that go on from others, of which it makes none, and
# about a QEMU that saves in another way; and those that lose only a write that meets the copy of its own page, or of the whole residue: a
# guest of an emulated KVM is too slow to be sure of one.
# Usage: tracking_mutants_kvm.sh BUILD_DIR, from native/pager.
set -eu
count=0
for dir in "$1"/tracking_mutants/*/; do
	case "$(cat "$dir/scenario"): $(cat "$dir/name")" in
	zero-pages:* | line:* | qmp-faults:*) continue ;;
	*'what is protected is not' | *'pages are copied, and protected afterwards') continue ;;
	*'the close of the device state does not wait') continue ;;
	esac
	if python3 test/boot_sector.py "${dir}libpager.so" "$1/test/boot_sector.bin" kvm >"$dir/out" 2>&1; then
		echo "tracking_mutants_kvm: '$(cat "$dir/name")' survives" >&2
		exit 1
	fi
	grep -Eq 'AssertionError|RuntimeError: branch' "$dir/out" || { cat "$dir/out" >&2; exit 1; }
	count=$((count + 1))
done
echo "tracking_mutants_kvm: $count ways to lose a write, all noticed under KVM"
