#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vncsnapshot, a viewer of others, takes a picture of the guest's console; what is typed by RFB key events
# is read on that console.
. "$HERE/tests/tools/case.sh"
command -v vncsnapshot >/dev/null || skip "no vncsnapshot here"

cat >script <<'EOF2'
dmesg -n 1
echo "what is on the screen" >/dev/tty1
echo "screen is up"
read -r line </dev/tty1
echo "read: $line"
EOF2
"$HERE/guests/append-script" "$demo" script initrd.img
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 screen" \
	--memory 256M --control ctl --screen 127.0.0.1:0
wait_for "screen is up"
place=$(sed -n 's/.*the screen is at //p' errors)
port=${place##*:}
vncsnapshot -quiet -allowblank "127.0.0.1:$((port - 5900))" shot.jpg >said 2>&1 ||
	fail "vncsnapshot: $(cat said)"
# Its frame header: height and width.
od -An -v -tx1 shot.jpg | tr -d ' \n' | grep -q 'ffc000110803000400' || fail "no picture of 1024x768"
[ "$(stat -c %s shot.jpg)" -gt 8000 ] || fail "the picture is empty"
"$HERE/tests/tools/rfb-type" "$place" 'Hola! "tabique" {a|b}_~ 42' >said || fail "rfb-type"
grep -qx 1024x768 said || fail "the screen has $(cat said)"
finish
expect_status 0
tr -d '\r' <console | grep -qxF 'read: Hola! "tabique" {a|b}_~ 42' || fail "read otherwise"
