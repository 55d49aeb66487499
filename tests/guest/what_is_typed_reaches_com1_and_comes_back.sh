#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
start --kernel "$kernels/echo.elf" --memory 64M --cpus 1 --debug-exit
wait_for ready
printf 'The quick brown fox jumps over the lazy dog. 0123456789 0123456789!' >&8
finish
expect "The quick brown fox jumps over the lazy dog. 0123456789 0123456789!"
expect_status 15
