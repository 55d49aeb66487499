#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
echo NR_CPUS=2 >one
printf 'second module' >two
run --kernel "$kernels/info.elf" --initrd "$DIR/one x=1 y,$DIR/two" --append "alpha beta" \
	--memory 64M --cpus 1 --debug-exit </dev/null
expect_status 1
expect "alpha beta"
expect "x=1 y = NR_CPUS=2"
expect " = second module"
# The RAM above 1 MiB; its last pages may be taken by tables.
grep -qE '^range 0000000000100000 0000000003[ef][0-9a-f]{5} 00000001' console || fail "no RAM at 1 MiB"
