#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# Two processors, two disks, I/O all the time; the VM is moved between two engines, each time to another
# hypervisor process and to devices made anew, and twice it is only about to be and goes on where it is.
# Nothing is lost, nothing is written elsewhere.
. "$HERE/tests/tools/case.sh"
rounds=10
. "$HERE/tests/move/case.sh"
truncate -s 64M a.img
"$tabique" disk create b.vhdx size=64M type=dynamic >/dev/null
guest_script <<'EOF'
a=$(disk_of 0) b=$(disk_of 1)
head -c 2097152 /dev/urandom >/tmp/other
# All the time: reads and writes in the upper half of both.
(while [ ! -e /tmp/enough ]; do
	for d in $a $b; do
		dd if=/tmp/other of=/dev/$d bs=64k seek=512 conv=fsync 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		dd if=/dev/$d bs=64k skip=512 count=32 2>/dev/null | cmp - /tmp/other || echo "DIFFERS on $d"
	done
	echo x >>/tmp/times
done) &
n=1
while [ $n -le ROUNDS ]; do
	for d in $a $b; do
		head -c 1048576 /dev/urandom >/tmp/data
		dd if=/tmp/data of=/dev/$d bs=64k seek=$((n * 16)) conv=fsync 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		dd if=/dev/$d bs=64k skip=$((n * 16)) count=16 2>/dev/null | cmp - /tmp/data &&
			echo "round $n $([ $d = $a ] && echo a || echo b) $(md5sum </tmp/data | cut -c 1-32)"
	done
	n=$((n + 1))
done
touch /tmp/enough
wait
[ -s /tmp/times ] && echo "other I/O: went on"
dmesg | grep -iE 'i/o error|timing out|reset|lockup|stall|bug:|oops|call trace' | grep -v 'Marking TSC'
echo "complaints: none but these"
EOF
sed -i "s/ROUNDS/$rounds/" script
"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img"
move_vm "$engine,=,interp,=,$engine" --at "round " --every $((2 * rounds / 5)) --disk a.img --disk b.vhdx \
	--memory 256 --cpus 2
moved
expect "other I/O: went on"
tr -d '\r' <console >said
! grep -q '^DIFFERS' said || fail "the guest read something else than it wrote"
sed -n '/^other I.O/,/^complaints/p' said | sed '1d;$d' | grep . &&
	fail "the guest's kernel complains"
"$tabique" disk check b.vhdx >check 2>&1 || fail "b.vhdx: $(cat check)"
"$tabique" disk convert b.vhdx b.img type=raw >/dev/null 2>&1 || fail "b.vhdx cannot be read"
for disk in a b; do
	n=1
	while [ $n -le $rounds ]; do
		echo "round $n $disk $(dd if=$disk.img bs=1M skip=$n count=1 2>/dev/null | md5sum | cut -c 1-32)"
		n=$((n + 1))
	done
done | sort >want
grep -aoE 'round [0-9]+ [ab] [0-9a-f]{32}' said | sort | diff want - || fail "a disk has something else in it"
