#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What 'vm show --isolation' says is what the kernel says, and it is what the manual promises.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/daemon.sh"
[ "$(id -u)" -eq 0 ] || skip "only root has rights to drop"
start_launcher
start_daemon
trap end_host EXIT
"$tabique" vm create web1 memory=32M engine="$engine" nic=nat kernel="$kernels/spin.elf" &&
	"$tabique" vm start web1 || fail "vm start"
"$tabique" vm show web1 --isolation >table || fail "vm show --isolation"
tail -n +2 table >rows
[ "$(wc -l <rows)" -eq 5 ] || fail "not five processes: $(cat rows)"
[ "$(awk '{ print $3 }' rows | sort -u | wc -l)" -eq 5 ] || fail "two share a uid: $(cat rows)"
while read -r process pid uid capabilities privileges seccomp; do
	[ "$uid" -ne 0 ] || fail "$process is root"
	[ "$capabilities" = 0000000000000000 ] || fail "$process has capabilities"
	[ "$privileges" = yes ] || fail "$process may gain privileges"
	[ "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" = "$uid" ] || fail "$process: another uid"
	case $process in
	tabique-*) [ "$seccomp" = filter ] || fail "$process has no filter of system calls" ;;
	esac
	[ "$process" = tabiqued ] || [ -z "$(ls "/proc/$pid/root/")" ] || fail "$process sees files"
done <rows
[ "$(stat -c %a "$run_folder/vms/web1/control")" = 600 ] || fail "others may ask the VM's owner"
[ "$(stat -c %a "$run_folder/launcher")" = 600 ] || fail "others may ask the launcher"
[ "$(stat -c %a "$run_folder/api")" = 660 ] || fail "others than its group may ask the daemon"
