#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
status=0
timeout 20 "$tabique" run --kernel "$kernels/spin.elf" --memory 64M --cpus 1 >/dev/full 2>errors </dev/null || status=$?
expect_status 1
[ "$(grep -vc '^fix: ' errors)" -eq 1 ] || fail "not one line"
expect "no space left" errors
