#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# A rescue disc of GRUB's own making (El Torito, no emulation) in the DVD drive: the BIOS starts it, its
# menu stands on the serial port and takes a key, and what is chosen reads a file of the disc.
. "$HERE/tests/tools/case.sh"
[ -f /usr/share/seabios/bios-256k.bin ] || skip "no SeaBIOS: package seabios"
command -v grub-mkrescue >/dev/null && command -v xorriso >/dev/null && command -v mformat >/dev/null ||
	skip "no grub-mkrescue, or not what it needs: packages grub-common, grub-pc-bin, xorriso, mtools"
mkdir -p iso/boot/grub
cat >iso/boot/grub/grub.cfg <<'END'
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=-1
menuentry "the first entry" { echo "first"; sleep 60 }
menuentry "the second entry" { cat /word; sleep 60 }
END
echo "read from the disc" >iso/word
grub-mkrescue -o rescue.iso iso >made 2>&1 || fail "grub-mkrescue: $(tail -n 3 made)"
start --bios --cdrom rescue.iso --memory 128M --control ctl
wait_for "the second entry"
# Down, and go.
printf '\033[B\r' >&8
wait_for "read from the disc"
"$tabique" vm inspect --control ctl worker/ide/0 >said || fail "inspect"
expect "worker.ide.0.0.kind: DVD" said
expect "worker.ide.0.0.failures: 0" said
"$tabique" vm stop --control ctl --force >said 2>&1 || fail "stop: $(cat said)"
finish
expect_status 0
