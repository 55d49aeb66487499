#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# ROUNDS=100000 for the whole of it.
. "$HERE/tests/tools/case.sh"
rounds=${ROUNDS:-20000}
run --kernel "$kernels/disk_code.elf" --append "rounds=$rounds" --memory 64M --cpus 2 --debug-exit \
	--test-devices --timeout $vm_limit </dev/null
cat >want <<EOF2
polled $(printf %08x "$rounds")
by interrupt $(printf %08x "$rounds")
old code executed 00000000
own old code executed 00000000
read into nowhere 00000003
calls met reads in flight
EOF2
tr -d '\r' <console | diff want - || fail "code from the disk is not what is executed"
expect_status 1
