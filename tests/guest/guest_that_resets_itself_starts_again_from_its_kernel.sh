#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the guest wrote into CMOS stays; its memory and its devices do not.
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/reset.elf" --memory 64M --cpus 1 --debug-exit </dev/null
printf 'life 00000001\nlife 00000002\nlife 00000003\n' >want
tr -d '\r' <console | cmp - want || fail "not three lives"
expect_status 7
