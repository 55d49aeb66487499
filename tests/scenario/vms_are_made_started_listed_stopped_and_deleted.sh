#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/daemon.sh"
start_launcher
start_daemon
trap end_host EXIT
"$tabique" vm create web1 cpus=2 memory=64M engine="$engine" kernel="$kernels/spin.elf" || fail "vm create"
[ "$(state_of web1)" = off ] || fail "a new VM is not off"
"$tabique" vm start web1 || fail "vm start"
"$tabique" vm list >list
head -n 1 list | grep -qE '^Name +State +CPU\(%\) +Memory +Uptime +Status +Node$' || fail "the list's columns: $(head -n 1 list)"
grep -qE '^web1 +running +[0-9]+ +64M +0d 00:00:[0-9]+ +- ' list || fail "the list's row: $(tail -n 1 list)"
"$tabique" vm show web1 >shown || fail "vm show"
expect "config.cpus: 2" shown
expect "pids.hv: " shown
"$tabique" vm inspect web1 hv/vp/1 | grep -q . || fail "vm inspect"
"$tabique" vm pause web1 && [ "$(state_of web1)" = paused ] || fail "vm pause"
"$tabique" vm resume web1 && [ "$(state_of web1)" = running ] || fail "vm resume"
"$tabique" vm list --state off | grep -q web1 && fail "a VM that runs is listed as off"
wrong 4 "is running: 'memory' can change only while it is off" vm set web1 memory=128M
"$tabique" vm set web1 notes="a word" || fail "vm set of what may change"
wrong 4 "VM 'web1' is running" vm delete web1
wrong 1 "has not powered off in 1 seconds" vm stop web1 timeout=1
# Somebody waits for the guest, and somebody else has no patience.
"$tabique" vm stop web1 &
patient=$!
until_state web1 stopping
"$tabique" vm stop web1 --force || fail "vm stop --force"
wait "$patient" || fail "who waited for the stop is told that it failed"
[ "$(state_of web1)" = off ] || fail "it is $(state_of web1), not off"
[ ! -e "$run_folder/vms/web1" ] || fail "its folder of sockets is left"
"$tabique" vm set web1 memory=96M || fail "vm set"
"$tabique" vm show web1 | grep -q '^config.memory: 100663296$' || fail "memory was not set"
"$tabique" vm start web1 && "$tabique" vm stop web1 --force || fail "the second start"
"$tabique" vm delete web1 || fail "vm delete"
wrong 3 "there is no VM 'web1'" vm show web1
[ -z "$(ls "$state_folder/vms")" ] || fail "files are left: $(ls -A "$state_folder/vms")"
