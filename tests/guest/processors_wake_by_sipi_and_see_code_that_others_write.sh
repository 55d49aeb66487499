#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/processors.elf" --memory 64M --cpus 4 --debug-exit --timeout $vm_limit </dev/null
cat >want <<'EOF'
processors 00000004
awake 00000004
old code executed 00000000
own old code executed 00000000
EOF
tr -d '\r' <console | diff want - || fail "processors do otherwise"
expect_status 1
