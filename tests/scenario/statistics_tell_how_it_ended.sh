#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
run --kernel "$kernels/hello.elf" --memory 64M --cpus 1 --debug-exit --stats stats.json </dev/null
expect_status 85
tr -d ' \n' <stats.json >flat
expect '"code":85' flat
expect '"end":"' flat
run --kernel "$kernels/spin.elf" --memory 64M --cpus 1 --timeout 1 --stats stats.json </dev/null
expect_status 124
tr -d ' \n' <stats.json >flat
expect '"code":124' flat
