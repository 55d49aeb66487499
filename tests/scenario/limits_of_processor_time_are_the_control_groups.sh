#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/daemon.sh"
start_launcher
start_daemon
trap end_host EXIT
case $(cat launcher.log) in
*"cgroups v2"*) group=/sys/fs/cgroup/tabique/limited weight=cpu.weight limit=cpu.max ;;
*"cgroups v1"*) group=/sys/fs/cgroup/cpu/tabique/limited weight=cpu.shares limit=cpu.cfs_quota_us ;;
*) skip "the host gives no control group" ;;
esac
"$tabique" vm create limited memory=32M engine="$engine" kernel="$kernels/spin.elf" cpu.limit=20 cpu.weight=200 &&
	"$tabique" vm start limited || fail "vm start"
grep -qE '^20000( 100000)?$' "$group/$limit" || fail "the limit is $(cat "$group/$limit")"
grep -qE '^(200|2048)$' "$group/$weight" || fail "the weight is $(cat "$group/$weight")"
for process in hv worker; do
	pid=$("$tabique" vm show limited | sed -n "s/^pids.$process: //p")
	grep -qx "$pid" "$group/cgroup.procs" || fail "$process is not in the group"
done
"$tabique" vm set limited cpu.limit=0 cpu.weight= || fail "vm set"
until grep -qE '^(-1|max 100000)$' "$group/$limit"; do sleep 0.05; done
grep -qE '^(100|1024)$' "$group/$weight" || fail "the weight is $(cat "$group/$weight") then"
"$tabique" vm stop limited --force || fail "vm stop"
[ ! -e "$group" ] || fail "the group is left"
