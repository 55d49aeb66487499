#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/reset.elf" --memory 64M --cpus 1 --no-reboot </dev/null
expect "life 00000001"
expect_status 10
