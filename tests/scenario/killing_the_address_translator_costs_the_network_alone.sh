#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
start --kernel "$kernels/spin.elf" --memory 64M --control vm.sock \
	--net nat,forward=127.0.0.1:47114-:22,mac=00:15:5d:0a:0b:0c
wait_for spinning
"$tabique" vm show --control vm.sock >shown || fail "vm show"
expect "nic: nic0 nat 00:15:5d:0a:0b:0c mtu 1500 link up" shown
expect "forward: nic0 127.0.0.1:47114-:22" shown
"$tabique" nic list --control vm.sock >listed || fail "nic list"
expect "nic: nic0 nat" listed
victim=$(child tabique-nat)
[ "pids.nat: $victim" = "$(grep pids.nat shown)" ] || fail "vm show names another process"
kill -KILL "$victim"
wait_for "tabique-nat) was killed by signal 9" errors
wait_for "the VM goes on" errors
"$tabique" vm show --control vm.sock >shown || fail "vm show"
expect "state: running" shown
[ "$(grep -c '^tabique: ' errors)" -eq 1 ] || fail "more than one line"
"$tabique" vm stop --force --control vm.sock || fail "vm stop"
finish
expect_status 0
