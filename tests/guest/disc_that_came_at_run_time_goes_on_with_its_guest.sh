#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# A guest gets another disc and is moved at once, and moved again: it goes on with the disc that it had then.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/disc.sh"
. "$HERE/tests/move/case.sh"
disc a.iso "FIRST" 4
disc b.iso "SECOND" 6
guest_script <<'EOF2'
dmesg -n 1
until [ -b /dev/sr0 ]; do sleep 0.1; done
n=1
while [ $n -le 60 ]; do
	label=$(dd if=/dev/sr0 bs=1 skip=32808 count=32 2>/dev/null) || label="no disc"
	echo "look $n: ${label%% *}"
	[ $n -gt 20 ] && [ "${label%% *}" = SECOND ] && break
	n=$((n + 1))
done
echo "sectors: $(cat /sys/block/sr0/size)"
echo "content: $(md5sum </dev/sr0 | cut -c 1-32)"
EOF2
head -c 2097152 /dev/urandom | dd of=b.iso bs=1M seek=4 conv=notrunc 2>/dev/null
"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img"
move_vm "$engine,interp,$engine" --at "look " --every 8 --cdrom a.iso --insert b.iso --memory 256 --cpus 1
moved
expect "look 1: FIRST"
expect "sectors: 12288"
expect "content: $(md5sum <b.iso | cut -c 1-32)"
