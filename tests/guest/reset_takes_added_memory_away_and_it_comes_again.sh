#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# A guest of 256 MiB that has given pages, taken them and got more is reset: it begins with 256 MiB, gets more again,
# and is not told to take back what the one before gave.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/memory.sh"
# total WORD: the guest's memory, in MiB.
total() {
	echo "echo $1=\$(awk '/^MemTotal/ { print int(\$2 / 1024) }' /proc/meminfo)=" >&8
	until grep -aq "^$1=[0-9]*=" console; do
		kill -0 "$vm" || fail "the VM ended before it said its memory"
		sleep 0.1
	done
	tr -d '\r' <console | sed -n "s/^$1=\([0-9]*\)=$/\1/p"
}
booted() {
	until [ "$(grep -ac 'tabique-guest: shell after' console)" -eq "$1" ]; do
		kill -0 "$vm" || fail "the VM ended at start $1"
		sleep 0.1
	done
	echo "echo 0 >/sys/module/hv_balloon/parameters/pressure_report_delay" >&8
}
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1 memhp_default_state=online" \
	--memory 256M,max=512M --control ctl
booted 1
held 224
held 512
more=$(total more)
# The balloon is not empty when it is pulled.
held 480
"$tabique" vm reset --control ctl || fail "reset"
"$tabique" vm inspect --control ctl worker/memory >said
booted 2
less=$(total less)
held 512
again=$(total again)
echo "poweroff -f" >&8
finish
expect_status 0
echo "MemTotal: $more, after the reset $less, then $again MiB"
[ "$less" -lt 256 ] || fail "added memory was there after the reset"
[ "$more" -gt 450 ] && [ "$again" -gt 450 ] || fail "it did not get all"
