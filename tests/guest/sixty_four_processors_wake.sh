#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/processors.elf" --memory 64M --cpus 64 --debug-exit --timeout $vm_limit </dev/null
expect "processors 00000040"
expect "awake 00000040"
expect_status 1
