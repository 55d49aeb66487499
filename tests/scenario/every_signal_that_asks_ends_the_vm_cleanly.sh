#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# In a script's background INT and QUIT are ignored from the start, so env sets them back.
for signal in TERM INT HUP QUIT; do
	rm -f input
	mkfifo input
	env --default-signal "$tabique" run --kernel "$kernels/halt.elf" --memory 64M --cpus 2 <input >console 2>errors &
	vm=$!
	exec 8>input
	wait_for halted
	kill -"$signal" "$vm"
	finish
	expect_status 1
	[ "$(wc -l <errors)" -eq 1 ] || fail "not one line"
	expect "ended by signal" errors
	exec 8>&-
done
