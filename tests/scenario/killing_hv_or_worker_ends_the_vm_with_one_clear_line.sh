#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for code in 1 126; do
	rm -f input
	debug_exit=
	[ "$code" -eq 1 ] || debug_exit=--debug-exit
	start --kernel "$kernels/spin.elf" --memory 64M --cpus 2 $debug_exit
	wait_for spinning
	victim=$(child tabique-hv)
	[ -n "$victim" ] || fail "no process tabique-hv below tabique"
	kill -KILL "$victim"
	finish
	expect_status "$code"
	[ "$(grep -vc '^fix: ' errors)" -eq 1 ] || fail "not one line"
	expect tabique-hv errors
	exec 8>&-
done
