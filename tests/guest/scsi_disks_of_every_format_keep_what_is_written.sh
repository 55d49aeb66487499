#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# Raw, VHD, VHDX and a differencing VHDX, whose parent is found beside it and stays as it was.
. "$HERE/tests/tools/case.sh"
truncate -s 32M a.img
"$tabique" disk create b.vhd size=32M type=dynamic
"$tabique" disk create c.vhdx size=32M type=dynamic
"$tabique" disk create parent.vhdx size=32M type=dynamic
"$tabique" disk create d.vhdx parent=parent.vhdx type=differencing
md5sum parent.vhdx >before
boot_script --disk a.img --disk b.vhd --disk c.vhdx --disk d.vhdx <<'EOF'
for lun in 0 1 2 3; do
	disk=$(disk_of $lun)
	head -c 3000000 /dev/urandom >/tmp/data
	dd if=/tmp/data of=/dev/$disk bs=1M seek=5 conv=fsync 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	tail -c +5242881 /dev/$disk | head -c 3000000 | md5sum | cut -c 1-32
	md5sum </tmp/data | cut -c 1-32
done
EOF
[ "$(wc -l <output)" = 8 ] || fail "not every disk was there"
[ "$(uniq output | wc -l)" = 4 ] || fail "a disk gave something else back"
expect_status 0
md5sum -c --quiet before || fail "the parent was written"
n=1
for image in a.img b.vhd c.vhdx d.vhdx; do
	"$tabique" disk check $image >check 2>&1 || fail "$image: $(cat check)"
	"$tabique" disk convert $image $n.raw type=raw >/dev/null 2>&1 || fail "$image cannot be read"
	[ "$(tail -c +5242881 $n.raw | head -c 3000000 | md5sum | cut -c 1-32)" = \
		"$(sed -n "$((2 * n))p" output)" ] || fail "$image has something else in it"
	n=$((n + 1))
done
