#!/bin/sh
# The first process of a guest without systemd: the usual file systems, then the agent, then nothing but reaping.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
cd /
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mountpoint -q /dev || mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mkdir -p /dev/pts /dev/shm
for name in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -sf "/proc/self/${name#*:}" "/dev/${name%%:*}"; done
mount -t devpts -o nosuid,noexec,gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mount -t tracefs -o nosuid,nodev,noexec tracefs /sys/kernel/tracing
echo '+cpu +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
modprobe fuse
ip link set lo up
# As systemd allows; the kernel's own limit is lower.
ulimit -n 65536
hostname guest
python3 /usr/local/lib/minehunt-rig/agent.py &
# dash reaps every orphan here; `wait` ends when there is none left to wait for.
while :; do wait; sleep 3600; done
