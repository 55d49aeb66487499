#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# The in-box hv_utils without the programs that answer for keys, backups and files.
. "$HERE/tests/tools/case.sh"

start --kernel "$kernels/spin.elf" --control none --timeout 60
spinning=$vm
until [ -S none ]; do
	sleep 0.05
done
wrong 4 "no driver for kvp" vm kvp get --control none
expect "fix: in Linux it is the module hv_utils" complaints
wrong 4 "no driver for vss" vm freeze --control none
wrong 4 "are not frozen any more" vm thaw --control none
wrong 4 "no driver for fcopy" vm copy "$demo" /tmp/ --control none
wrong 3 "cannot be opened" vm copy nothing /tmp/ --control none
wrong 2 "not a plain file" vm copy / /tmp/x --control none
wrong 2 "not a whole path in the guest" vm copy "$demo" tmp --control none
wrong 2 "not how keys are asked for" vm kvp set --control none
wrong 2 "which card" vm address --control none
"$tabique" vm stop --force --control none || fail "stop --force"
wait "$spinning"

rm -f input
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1" --memory 512M --control ctl
wait_for "tabique-guest: shell after"
until "$tabique" vm inspect --control ctl worker/ic/fcopy/state >said && grep -q ready said; do
	sleep 0.1
done
# Its kernel says so at once, but for keys, where it waits for the program to be started.
wrong 1 "its VSS daemon does not run" vm freeze --control ctl
expect "apt install hyperv-daemons" complaints
wrong 1 "its file copy daemon does not run" vm copy "$vmlinuz" /tmp/ --control ctl
expect "apt install hyperv-daemons" complaints
status=0
"$tabique" vm kvp get --control ctl >said 2>complaints || status=$?
[ "$status" -ne 0 ] || fail "keys without a daemon"
expect "apt install hyperv-daemons" complaints
"$tabique" vm stop --control ctl || fail "stop"
finish
expect_status 0
