#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A screen without a password is not shown to the network; who listens there already is named.
. "$HERE/tests/tools/case.sh"
refuse 2 "would show the screen to the network" --kernel "$kernels/hello.elf" --screen 0.0.0.0
refuse 2 "would show the screen to the network" --kernel "$kernels/hello.elf" --screen '[::]:5901'
refuse 2 "is not an address" --kernel "$kernels/hello.elf" --screen example
refuse 2 "has no port between" --kernel "$kernels/hello.elf" --screen 127.0.0.1:65536
refuse 2 "has no port between" --kernel "$kernels/hello.elf" --screen 127.0.0.1:
refuse 2 "has no closing bracket" --kernel "$kernels/hello.elf" --screen '[::1'
start --kernel "$kernels/spin.elf" --screen ./screen --timeout 60
wait_for "the screen is at ./screen" errors
[ "$(stat -c %a screen)" = 600 ] || fail "others may look: $(stat -c %A screen)"
wrong 1 "is in use" run --kernel "$kernels/hello.elf" --screen ./screen
kill "$vm"
finish
[ ! -e screen ] || fail "the socket was left behind"
start --kernel "$kernels/spin.elf" --screen 127.0.0.1:0 --timeout 60
wait_for "the screen is at 127.0.0.1:" errors
place=$(sed -n 's/.*the screen is at //p' errors)
wrong 1 "somebody listens on '$place' already" run --kernel "$kernels/hello.elf" --screen "$place"
kill "$vm"
finish
