#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/triple.elf" --memory 64M --cpus 1 </dev/null
expect "about to fault"
expect_status 14
