#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest that writes to COM1 without end while nobody reads its console: what is held for it stays small,
# the VM answers and can be stopped. What is read later is what the guest wrote, unchanged.
. "$HERE/tests/tools/case.sh"

mkfifo console.pipe
exec 9<>console.pipe
"$tabique" run --engine "$engine" --kernel "$kernels/flood.elf" --memory 64M --control ctl \
	</dev/null >console.pipe 2>errors &
vm=$!

# Bytes of all the VM's processes that are not the guest's RAM.
held() {
	kib=0
	for pid in "$vm" $(pgrep -P "$vm"); do
		here=$(awk '/^(RssAnon|RssFile)/ { n += $2 } END { print n + 0 }' "/proc/$pid/status")
		kib=$((kib + here))
	done
	echo "$kib"
}

until "$tabique" vm show --control ctl >show 2>&1; do
	kill -0 "$vm" 2>/dev/null || fail "the VM has ended"
	sleep 0.1
done
before=$(held)
sleep 3
after=$(held)
[ $((after - before)) -lt 16384 ] ||
	fail "$((after - before)) KiB more are held after three seconds"
"$tabique" vm show --control ctl >show || fail "the VM does not answer"
"$tabique" vm stop --force --control ctl || fail "vm stop --force"
finish
# Held back in the pipe: 64 KiB of it, from the first word on.
timeout 5 dd bs=4096 count=8 iflag=fullblock <&9 >console 2>/dev/null
expect "flood begins"
grep -aqF "<script>alert(1)</script>" console || fail "the bytes are not those of the guest"
grep -aq "$(printf '\033')\[2J" console || fail "escape sequences are not passed on as they are"
