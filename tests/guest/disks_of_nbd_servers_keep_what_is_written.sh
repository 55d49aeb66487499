#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# Three servers: a socket of this host, the loopback with an export for reading only, and one that goes
# while its disk is read; beside a disk in a file, which must not notice.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/nbd.sh"
trap end_servers EXIT
truncate -s 64M a.img
head -c 8M /dev/urandom >b.img
truncate -s 16M c.img
truncate -s 16M d.img
serve one a.img
serve_port two -r -x 'un disco' b.img
serve three c.img
# The guest says when; who waits has the end of the case as its limit.
(
	until grep -aq 'the server may go' console 2>/dev/null; do
		sleep 0.05
	done
	end_server three
) &
boot_script --cpus 2 --disk "nbd+unix:///?socket=$DIR/one.sock" \
	--disk "nbd://127.0.0.1:$port/un%20disco,ro" --disk "nbd+unix:///?socket=$DIR/three.sock" \
	--disk d.img <<'EOF'
set -e
a=$(disk_of 0) b=$(disk_of 1) c=$(disk_of 2) d=$(disk_of 3)
cat /sys/block/$a/size /sys/block/$b/size /sys/block/$a/ro /sys/block/$b/ro
head -c 20000000 /dev/urandom >/tmp/data
dd if=/tmp/data of=/dev/$a bs=1M conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
head -c 20000000 /dev/$a | cmp - /tmp/data && echo same
md5sum </dev/$b
head -c 1048576 /tmp/data | md5sum
dd if=/dev/$c of=/dev/null bs=4k count=1 2>/dev/null && echo read
echo the server may go
i=0
while dd if=/dev/$c of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && [ $i -lt 600 ]; do
	sleep 0.1
	i=$((i + 1))
done
dd if=/dev/$c of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null || echo gone
dd if=/tmp/data of=/dev/$d bs=1M count=4 conv=fsync 2>/dev/null && echo written
dd if=/tmp/data of=/dev/$a bs=4k count=1 seek=8192 oflag=direct 2>/dev/null && echo written
EOF
wait
{
	printf '131072\n16384\n0\n1\nsame\n'
	md5sum <b.img
	head -c 1048576 a.img | md5sum
	printf 'read\nthe server may go\ngone\nwritten\nwritten\n'
} >want
diff want output || fail "the guest saw something else"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
expect "an NBD server is gone" errors
end_servers
head -c 4194304 a.img | cmp - d.img -n 4194304 || fail "the disks differ"
