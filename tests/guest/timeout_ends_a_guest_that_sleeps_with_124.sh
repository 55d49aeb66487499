#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/halt.elf" --memory 64M --cpus 1 --timeout 2 </dev/null
expect halted
expect_status 124
