#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 400
# rig: only when named
# On KVM, whose second table of pages has to forget what was punched: a guest gives pages back and takes them
# again while a program reads what it wrote, and then has 128 MiB more, which the program fills.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/memory.sh"
guest_script <<'END'
dmesg -n 1
echo 0 >/sys/module/hv_balloon/parameters/pressure_report_delay
echo 2048 >/proc/sys/vm/min_free_kbytes
/hold 8 /tmp/end &
echo "load starts"
while
	set -- $(grep MemTotal /proc/meminfo)
	[ "$2" -lt $((250 * 1024)) ]
do
	sleep 0.2
done
echo "total: $(($2 / 1024)) MiB"
sleep 8
touch /tmp/end
wait
dmesg | grep -iE 'out of memory|oom-kill|bad page|bug:|call trace'
echo "complaints: none but these"
END
(cd "$BUILD/tests/guest/programs" && "$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" hold)
start --kernel "$vmlinuz" --initrd initrd.img --memory 192M,max=320M --cpus 1 --control ctl \
	--append "console=ttyS0 panic=-1 memhp_default_state=online transparent_hugepage=never ${append:-}"
wait_for "load starts"
for n in 1 2 3; do
	held 160
	held 192
done
held 320
wait_for "complaints: none but these"
finish
expect_status 0
tr -d '\r' <console >said
expect "all that was written was read" said
expect "total: " said
! grep -q "hold: WRONG" said || fail "something else was read than was written"
sed -n '/^hold: [0-9]* rounds/,/^complaints/p' said | sed '1d;$d' | grep . && fail "the guest's kernel complains"
grep -a "full with" said
