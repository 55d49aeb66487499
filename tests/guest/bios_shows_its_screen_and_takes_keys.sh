#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A boot sector of our own on SeaBIOS: text on the screen, keys by the PS/2 keyboard, a picture in mode 13h,
# a reset by the keyboard controller.
. "$HERE/tests/tools/case.sh"

gcc -m32 -nostdlib -static -Wl,--oformat=binary,-Ttext=0x7c00,-e,_start,--build-id=none \
	-o sector "$HERE/tests/guest/boot/screen.S" || fail "the boot sector cannot be made"
truncate -s 1M disk.raw
dd if=sector of=disk.raw conv=notrunc status=none
start --bios --disk disk.raw,bus=ide --memory 64M --control ctl --no-reboot

# shows TEXT: until that stands on the screen.
shows() {
	until "$tabique" vm screenshot --text --control ctl 2>/dev/null >screen && grep -qF "$1" screen; do
		kill -0 "$vm" || fail "the VM ended before its screen showed '$1'"
		sleep 0.1
	done
}
shows "Which keys?"
"$tabique" vm type 'Hola: {a|b} 42' --control ctl || fail "type"
shows "Which keys? Hola: {a|b} 42"
"$tabique" vm keys enter --control ctl || fail "keys"
until "$tabique" vm inspect worker/vga --control ctl | grep -q "mode: 256 640x400"; do
	sleep 0.1
done
# The picture is three bands; PNG's own sizes are at bytes 16 and 20.
"$tabique" vm screenshot -f picture.png --control ctl || fail "screenshot"
od -An -tx1 -j16 -N8 picture.png | tr -d ' \n' | grep -qx 0000028000000190 || fail "not 640 by 400"
"$tabique" vm screenshot --text --control ctl 2>complaints && fail "text in a graphics mode"
expect "in no text mode" complaints
"$tabique" vm keys esc --control ctl || fail "keys"
finish
expect_status 10
