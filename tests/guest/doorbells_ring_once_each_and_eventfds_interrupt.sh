#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/doorbell.elf" --memory 64M --cpus 1 --debug-exit --test-devices \
	--stats stats --timeout $vm_limit </dev/null
cat >want <<'EOF2'
rings 00004e20
others 0000001e
rings 000061a8
interrupts 000003e8
rings 00006591
interrupts 000003e8
EOF2
tr -d '\r' <console | diff want - || fail "the bell rings otherwise"
expect_status 1
# KVM raises the eventfd itself: of the 25,000 rings none came back to us.
[ "$engine" != kvm ] || {
	exits=$(sed -n 's/.*"exits_pio": *\([0-9]*\).*/\1/p' stats)
	[ -n "$exits" ] && [ "$exits" -lt 2000 ] || fail "$exits port accesses came back to us"
}
