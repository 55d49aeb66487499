#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# macs SOCKET: the addresses of two adapters of a VM.
macs() {
	rm -f input
	start --kernel "$kernels/spin.elf" --memory 64M --control "$1" --net nat --net nat
	wait_for spinning
	"$tabique" vm show --control "$1" | sed -n 's/^nic: nic[01] nat \(00:15:5d:[0-9a-f:]*\) .*/\1/p'
	"$tabique" vm stop --force --control "$1" || fail "vm stop"
	finish >/dev/null
	exec 8>&-
}
macs a.sock >first
macs a.sock >second
macs b.sock >other
[ "$(sort -u first | wc -l)" -eq 2 ] || fail "two adapters do not have two addresses"
cmp -s first second || fail "the next run has other addresses"
[ "$(sort -u first other | wc -l)" -eq 4 ] || fail "another VM has the same addresses"
