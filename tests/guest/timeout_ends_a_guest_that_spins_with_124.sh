#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/spin.elf" --memory 64M --cpus 1 --timeout 2 </dev/null
expect spinning
expect_status 124
