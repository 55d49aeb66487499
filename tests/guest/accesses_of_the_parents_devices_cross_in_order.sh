#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/parent_devices.elf" --memory 64M --cpus 1 --debug-exit --test-devices </dev/null
crossings=00000002
# KVM cuts string instructions into pieces of its own.
[ "$engine" != kvm ] || crossings=$(tr -d '\r' <console | sed -n 's/^crossings //p')
cat >want <<EOF2
string bytes wrong 00000000
crossings $crossings
bytes left 00000000
backward bytes wrong 00000000
posted sums wrong 00000000
posted writes 00001388
latch wrong 00000000
copied bytes wrong 00000000
EOF2
tr -d '\r' <console | diff want - || fail "the parent's devices do otherwise"
expect_status 1
