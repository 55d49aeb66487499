#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# run-cases looks for processes that are left.
start --kernel "$kernels/spin.elf" --memory 64M --cpus 2
wait_for spinning
hv=$(child tabique-hv)
worker=$(child tabique-worker)
[ -n "$hv" ] && [ -n "$worker" ] || fail "not two processes below tabique"
kill -KILL "$vm"
finish
for pid in $hv $worker; do
	tries=0
	while kill -0 "$pid" 2>/dev/null && ! grep -q "^State:.*Z" "/proc/$pid/status"; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || fail "process $pid lives on"
		sleep 0.1
	done
done
