#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# A guest of 256 MiB gives memory back, takes it again and gets more, all the time, and is moved to other
# hypervisor processes meanwhile, with whatever is out and was added. What a program writes, it reads.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/move/case.sh"
guest_script <<'EOF'
dmesg -n 1
echo 0 >/sys/module/hv_balloon/parameters/pressure_report_delay
/hold 16 /tmp/end &
n=1
while [ $n -le 16 ]; do
	set -- $(grep MemTotal /proc/meminfo)
	echo "round $n: total $(($2 / 1024)) MiB"
	sleep 2
	n=$((n + 1))
done
touch /tmp/end
wait
dmesg | grep -iE 'out of memory|oom-kill|bad page|lockup|stall|bug:|oops|call trace'
echo "complaints: none but these"
EOF
(cd "$BUILD/tests/guest/programs" && "$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" hold)
append="memhp_default_state=online transparent_hugepage=never"
move_vm "$engine,$engine,=,$engine,$engine" --at "round " --every 3 --memory 256 --room 512 \
	--hold 384,224,512,320,208 --cpus 2
moved
tr -d '\r' <console >said
expect "all that was written was read" said
! grep -q "hold: WRONG" said || fail "something else was read than was written"
sed -n '/^hold: [0-9]* rounds/,/^complaints/p' said | sed '1d;$d' | grep . && fail "the guest's kernel complains"
# It has been smaller than it began, and had all that there is room for.
sed -n 's/.*round [0-9]*: total \([0-9]*\) MiB/\1/p' said | sort -n >totals
tr '\n' ' ' <totals
[ "$(head -n 1 totals)" -lt 200 ] || fail "it has never given anything"
[ "$(tail -n 1 totals)" -gt 400 ] || fail "it has never got all"
