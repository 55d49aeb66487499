#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# An interpreter goes beside the translator and must come to the same states; where they part the
# guest ends. Here for as long as a test may take; whole boots of both kernels by make soak LOCKSTEP=1.
. "$HERE/tests/tools/case.sh"
[ "$engine" = soft ] || skip "lock-step is a thing of the software engine"
engine=lockstep

for kernel in exceptions hostile_code; do
	run --kernel "$kernels/$kernel.elf" --memory 64M --debug-exit --timeout $vm_limit </dev/null
	[ "$status" -eq 1 ] || fail "$kernel: exit status $status"
done

start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1" --memory 256M
wait_for "clocksource: Switched to"
kill -TERM "$vm"
finish
! grep -a 'lock-step: parted' errors || fail "the two have parted"
expect "lock-step: no difference in" errors
