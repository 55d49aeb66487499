#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
status=0
timeout 20 "$tabique" run --kernel "$kernels/poweroff.elf" --memory 64M --cpus 1 --stats /dev/full >console 2>errors </dev/null || status=$?
expect "/dev/full" errors
expect "no space left" errors
expect_status 1
