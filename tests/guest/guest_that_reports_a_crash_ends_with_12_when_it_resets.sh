#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/crash.elf" --memory 64M --cpus 1 </dev/null
expect "dump written"
expect "the guest reported a crash: Kernel panic: all is lost" errors
expect_status 12
