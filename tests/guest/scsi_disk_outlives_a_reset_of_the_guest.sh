#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# The guest writes, and resets itself in the middle of more writing; the second start finds the disk
# and what was flushed.
. "$HERE/tests/tools/case.sh"
truncate -s 64M a.img
boot_script --disk a.img <<'EOF'
i=0
while [ ! -b /dev/sda ] && [ $i -lt 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
if [ "$(head -c 5 /dev/sda)" != again ]; then
	head -c 4194304 /dev/urandom >/tmp/data
	md5sum </tmp/data >/tmp/sum
	dd if=/tmp/data of=/dev/sda bs=1M seek=1 conv=fsync 2>/dev/null
	dd if=/tmp/sum of=/dev/sda bs=64k seek=1 conv=fsync 2>/dev/null
	printf again | dd of=/dev/sda conv=fsync 2>/dev/null
	dd if=/dev/zero of=/dev/sda bs=1M seek=16 count=40 oflag=direct 2>/dev/null &
	sleep 0.2
	echo b >/proc/sysrq-trigger
	sleep 60
fi
dd if=/dev/sda bs=64k skip=1 count=1 2>/dev/null | head -c 32
echo
dd if=/dev/sda bs=1M skip=1 count=4 2>/dev/null | md5sum | cut -c 1-32
EOF
tr -d '\r' <console | grep -E '^[0-9a-f]{32}$' >sums
[ "$(wc -l <sums)" = 2 ] || fail "the second start did not come to its end"
[ "$(uniq sums | wc -l)" = 1 ] || fail "what was flushed is not there"
[ "$(grep -c '^tabique-guest: script starts' console)" = 2 ] || fail "the guest did not start twice"
expect_status 0
