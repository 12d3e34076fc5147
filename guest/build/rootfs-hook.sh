#!/bin/sh
# Hooks of mmdebstrap: what happens to a root file system besides installing packages. Run as
#   rootfs-hook.sh setup ROOT      before packages are fetched: offer those that an earlier build fetched
#   rootfs-hook.sh customize ROOT  after they are installed: keep the packages, add ours
# BOUGH_DEBS is the folder of fetched packages, BOUGH_STAGE the tree to lay over the root file system.
set -eu

archives="$2/var/cache/apt/archives"

# A file in a folder besides: linked, or copied where a link cannot be made. No half of one has its name.
also() {
	to="$2/${1##*/}"
	if [ ! -e "$1" ] || [ -e "$to" ] || ln "$1" "$to" 2>/dev/null; then return; fi
	cp --reflink=auto "$1" "$to.part"
	mv "$to.part" "$to"
}

case "$1" in
setup)
	mkdir -p "$archives/partial"
	for deb in "$BOUGH_DEBS"/*.deb; do
		also "$deb" "$archives"
	done
	;;
customize)
	for deb in "$archives"/*.deb; do
		also "$deb" "$BOUGH_DEBS"
	done
	cp -a "$BOUGH_STAGE/." "$2/"
	if [ -x "$2/usr/bin/python3" ] && [ -d "$2/usr/lib/bough" ]; then
		chroot "$2" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/bough
	fi
	;;
*)
	echo "rootfs-hook.sh: unknown hook $1" >&2
	exit 2
	;;
esac
