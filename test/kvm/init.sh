#!/bin/bash
# PID 1 of the outer machine, from its second disk: what a Linux needs to run tests, /dev/kvm, then /payload/run, then off.
# The last line says with which status that ended.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o size=90% tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
hostname outer
ip link set lo up
sysctl -qw vm.overcommit_memory=1 vm.max_map_count=262144 kernel.printk="4 4 1 7"
modprobe kvm_amd
echo "outer: Linux $(uname -r) after $(cut -d' ' -f1 /proc/uptime) s, $(ls /dev/kvm)"
# Through a pipe: programs that see a terminal talk to it in colours.
bash /payload/run 2>&1 </dev/null | cat
status=${PIPESTATUS[0]}
sync
echo "outer: status $status after $(cut -d' ' -f1 /proc/uptime) s"
echo o >/proc/sysrq-trigger
# No program can be loaded any more.
while :; do :; done
