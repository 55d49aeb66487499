#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# On KVM such a vector stayed in service for ever: the guest got its first interrupt and no other.
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/auto_eoi.elf" --memory 64M --cpus 1 --debug-exit --test-devices \
	--timeout $vm_limit </dev/null
cat >want <<'EOF2'
self-ending 00000000
beside another 00000000
no longer 00000000
EOF2
tr -d '\r' <console | diff want - || fail "the kernel found something else"
expect_status 1
