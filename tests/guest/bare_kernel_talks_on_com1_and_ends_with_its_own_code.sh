#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/hello.elf" --memory 64M --cpus 1 --debug-exit </dev/null
expect "hello from a bare kernel"
expect_status 85
[ ! -s errors ] || fail "it had something to say on standard error"
