#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/timers.elf" --memory 64M --cpus 1 --debug-exit --timeout $vm_limit </dev/null
cat >want <<'EOF'
pit against pm timer ok
tsc goes on ok
apic timer ok
apic timer that is stopped ok
apic one shot ok
EOF
tr -d '\r' <console | diff want - || fail "time goes otherwise"
expect_status 1
