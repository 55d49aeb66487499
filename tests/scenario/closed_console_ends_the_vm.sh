#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# The reader of the console goes away: the guest writes on, and the VM ends cleanly.
mkfifo input pipe
head -n 1 <pipe >first &
"$tabique" run --kernel "$kernels/echo.elf" --memory 64M --cpus 1 --debug-exit <input >pipe 2>errors &
vm=$!
exec 8>input
wait_for ready first
trap '' PIPE
while kill -0 "$vm" 2>/dev/null; do
	echo more >&8 2>/dev/null
	sleep 0.1
done
finish
expect_status 126
[ "$(grep -vc '^fix: ' errors)" -eq 1 ] || fail "not one line"
