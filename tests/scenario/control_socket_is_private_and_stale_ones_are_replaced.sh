#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"

# listen SOCKET: a VM that spins, its control socket there.
listen() {
	"$tabique" run --engine "$engine" --kernel "$kernels/spin.elf" --control "$1" --timeout 60 \
		>vm.console 2>vm.errors </dev/null &
	vm=$!
	until "$tabique" vm show --control "$1" >shown 2>/dev/null; do
		kill -0 "$vm" || fail "the VM ended"
		sleep 0.05
	done
}

listen ctl
[ "$(stat -c %a ctl)" = 600 ] || fail "its mode is $(stat -c %a ctl)"
expect "state: running" shown
refuse 1 "control socket 'ctl' is in use" --kernel "$kernels/hello.elf" --control ctl
# Its owner is killed: the socket stays behind, and is taken over.
kill -KILL "$vm"
wait "$vm" 2>/dev/null
[ -S ctl ] || fail "the socket is gone"
status=0
"$tabique" vm show --control ctl 2>errors || status=$?
expect_status 3
expect "no VM listens on 'ctl'" errors
listen ctl
"$tabique" vm stop --control ctl --force || fail "stop"
finish
expect_status 0
[ ! -e ctl ] || fail "the socket was left behind"

echo precious >file
refuse 1 "a file of that name is there" --kernel "$kernels/hello.elf" --control file
[ "$(cat file)" = precious ] || fail "the file was touched"
refuse 1 "cannot be made" --kernel "$kernels/hello.elf" --control none/ctl
# Longer than the address of a socket can be.
long=$(printf '%0200d' 0)
mkdir -p "$long/$long"
listen "$long/$long/ctl"
"$tabique" vm stop --control "$long/$long/ctl" --force || fail "stop by a long name"
