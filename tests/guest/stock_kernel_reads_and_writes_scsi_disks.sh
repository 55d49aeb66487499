#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# The in-box hv_storvsc on two disks, one of them read-only, and a DVD drive; two processors, so
# two channels.
. "$HERE/tests/tools/case.sh"
truncate -s 64M a.img
head -c 8M /dev/urandom >b.img
head -c 4M /dev/urandom >c.iso
boot_script --cpus 2 --disk a.img --disk b.img,ro --cdrom c.iso <<'EOF'
set -e
a=$(disk_of 0) b=$(disk_of 1) c=$(disk_of 2)
cat /sys/block/$a/size /sys/block/$b/size /sys/block/$a/ro /sys/block/$b/ro
cat /sys/block/$a/device/vendor /sys/block/$a/device/model /sys/block/$a/queue/write_cache
head -c 20000000 /dev/urandom >/tmp/data
dd if=/tmp/data of=/dev/$a bs=1M conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
head -c 20000000 /dev/$a | cmp - /tmp/data && echo same
dd if=/dev/zero of=/dev/$b bs=512 count=1 conv=fsync 2>/dev/null || echo refused
md5sum </dev/$b
md5sum </dev/$c
head -c 1048576 /tmp/data | md5sum
ls /sys/bus/vmbus/devices | wc -l
ls -d /sys/bus/vmbus/devices/*/channels/* | wc -l
EOF
{
	printf '131072\n16384\n0\n1\nMsft    \nVirtual Disk    \nwrite back\nsame\nrefused\n'
	md5sum <b.img
	md5sum <c.iso
	head -c 1048576 a.img | md5sum
	printf '11\n12\n'
} >want
diff want output || fail "the guest saw something else"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
expect_status 0
