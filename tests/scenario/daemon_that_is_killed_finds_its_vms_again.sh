#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/daemon.sh"
start_launcher
start_daemon
trap end_host EXIT
for n in 1 2 3; do
	"$tabique" vm create "vm$n" memory=32M engine="$engine" kernel="$kernels/spin.elf" &&
		"$tabique" vm start "vm$n" || fail "vm$n does not start"
done
"$tabique" vm pause vm2
pids() {
	for n in 1 2 3; do "$tabique" vm show "vm$n" | grep '^pids'; done
}
pids >before
for round in 1 2 3; do
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null
	start_daemon
	until_state vm1 running
	until_state vm2 paused
	pids >after
	cmp -s before after || fail "round $round: other processes than before"
done
# The launcher as well: an upgrade, and a crash.
kill -HUP "$launcher"
until "$tabique" vm create x$((n = n + 1)) memory=32M engine="$engine" kernel="$kernels/spin.elf" &&
	"$tabique" vm start "x$n" 2>errors; do
	grep -q "launcher" errors || fail "after the upgrade"
	sleep 0.1
done
kill -9 "$launcher"
wait "$launcher" 2>/dev/null
start_launcher
until "$tabique" vm stop vm3 --force 2>errors && [ "$(state_of vm3)" = off ]; do
	sleep 0.1
done
pids >after 2>/dev/null
head -n 4 before | cmp -s - "after" || [ "$(grep -c hv after)" -eq 2 ] || fail "others ended as well"
# A VM whose hypervisor dies is off, and why is in the list.
kill -9 "$(sed -n 's/^pids.hv: //p' before | head -n 1)"
until_state vm1 off
"$tabique" vm list -o wide | grep '^vm1 ' | grep -qE 'killed by signal 9|ended' || fail "no word about its end"
