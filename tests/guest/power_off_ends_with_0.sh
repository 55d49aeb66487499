#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/poweroff.elf" --memory 64M --cpus 2 </dev/null
expect "good night"
expect_status 0
