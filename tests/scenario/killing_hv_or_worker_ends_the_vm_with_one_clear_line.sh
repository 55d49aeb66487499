#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# ends_with STATUS PROGRAM OPTION...: the VM whose PROGRAM is killed.
ends_with() {
	want=$1 program=$2
	shift 2
	rm -f input
	start --kernel "$kernels/spin.elf" --memory 64M --cpus 2 "$@"
	wait_for spinning
	victim=$(child "$program")
	[ -n "$victim" ] || fail "no process $program below tabique"
	kill -KILL "$victim"
	finish
	expect_status "$want"
	[ "$(grep -vc '^fix: ' errors)" -eq 1 ] || fail "not one line"
	expect "$program" errors
	exec 8>&-
}
for program in tabique-hv tabique-worker; do
	ends_with 1 "$program"
	ends_with 126 "$program" --debug-exit
done
