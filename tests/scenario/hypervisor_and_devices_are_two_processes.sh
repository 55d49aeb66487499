#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
start --kernel "$kernels/halt.elf" --memory 64M --cpus 1
wait_for halted
hv=$(child tabique-hv)
worker=$(child tabique-worker)
[ -n "$hv" ] && [ -n "$worker" ] && [ "$hv" != "$worker" ] || fail "not two processes"
for pid in $hv $worker; do
	grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$pid/status" || fail "process $pid may gain rights"
	grep -q '^Seccomp:[[:space:]]*2' "/proc/$pid/status" || fail "process $pid has no seccomp filter"
	grep -q '^CapEff:[[:space:]]*0000000000000000' "/proc/$pid/status" || fail "process $pid has capabilities"
done
if [ "$(id -u)" -eq 0 ]; then
	[ "$(stat -c %u "/proc/$hv")" -ne "$(stat -c %u "/proc/$worker")" ] || fail "one uid for both"
fi
kill -TERM "$vm"
finish
