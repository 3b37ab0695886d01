#!/bin/busybox sh
# The initrd: loads the drivers of the disk and of the port, in the order in which their names sort, and hands over.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module" || echo "rig: $module does not load"; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o rw,relatime /dev/vda /root
init=/sbin/init
for word in $(/bin/busybox cat /proc/cmdline); do case $word in rig.init=*) init=${word#rig.init=} ;; esac; done
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root "$init"
