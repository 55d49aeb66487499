#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/synic.elf" --memory 64M --cpus 1 --debug-exit --test-devices \
	--timeout $vm_limit </dev/null
cat >want <<'EOF2'
unknown call 00000002
unknown connection 00000012
messages 00000000
queue 00000000
events 00000000
time 00000000
EOF2
tr -d '\r' <console | diff want - || fail "the kernel found something else"
expect_status 1
