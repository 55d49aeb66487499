#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
printf 'the first module' >module
run --kernel "$kernels/pvh.elf" --initrd "$DIR/module" --append "alpha beta" \
	--memory 64M --cpus 1 --debug-exit </dev/null
expect_status 1
expect "magic 336ec578"
expect "line alpha beta"
expect "modules 00000001 = the first module"
expect "acpi RSD PTR"
# The RAM above 1 MiB; its last pages may be taken by tables.
grep -qE '^range 0000000000100000 0000000003[ef][0-9a-f]{5} 00000001' console || fail "no RAM at 1 MiB"
