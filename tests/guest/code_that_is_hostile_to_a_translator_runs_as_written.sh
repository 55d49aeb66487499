#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
. "$HERE/tests/tools/case.sh"
cat >rows <<'EOT'
over a page's end
15 bytes
overlapping
writes the next instruction
writes the next opcode
writes the loop
writes the neighbour
data beside code
mapped anew
EOT
for cpus in 1 2; do
	[ "$cpus" -eq 1 ] || printf 'mapped anew for another\nchanged meanwhile\n' >>rows
	for mode in 'protected mode' '64-bit mode'; do
		echo "$mode"
		sed 's/$/ 00000000/' rows
	done >want
	run --kernel "$kernels/hostile_code.elf" --memory 64M --cpus $cpus --debug-exit \
		--timeout $vm_limit </dev/null
	tr -d '\r' <console | diff want - || fail "code runs otherwise with $cpus processors"
	expect_status 1
done
