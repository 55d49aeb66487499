#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A stock kernel with its console on the synthetic screen, and a Spanish keyboard: what is typed through the
# control socket arrives as written, however much of it and however slowly it is read; a screenshot has the
# colours that the guest painted; the mouse is where it was told to be; Ctrl-Alt-Del arrives, and
# all of it is there again when the guest has started anew.
. "$HERE/tests/tools/case.sh"
control=$DIR/socket
vm() {
	"$tabique" vm "$@" --control "$control" >said 2>complaints || fail "vm $*: $(cat complaints)"
}
long=$(i=0 && while [ $i -lt 15 ]; do printf 'línea %d: ¿qué? ¡así! {[#~]} ' $i && i=$((i + 1)); done)

guest_script <<'EOF'
/keymap es /dev/tty1 || echo "no keymap"
stty iutf8 </dev/tty1
printf '\033[2J\033[H\033[?25l\033[41m\033[K\n\033[44m\033[K\n\033[0mHELLO' >/dev/tty1
sleep 0.2
echo "painted"
read -r line </dev/tty1
echo "first: $line"
echo "slowly"
exec 3</dev/tty1
sleep 1
IFS= read -r line <&3
echo "second: $(echo -n "$line" | md5sum)"
for f in /sys/class/input/event*; do
	grep -q HID-compliant "$f/device/name" && mouse=/dev/input/${f##*/}
done
exec 4<"$mouse"
echo "mouse at hand"
dd bs=24 count=6 <&4 2>/dev/null | od -An -v -t d2 -w24 | awk '{ print "event:", $9, $10, $11 }'
echo 1 >/proc/sys/kernel/ctrl-alt-del
echo "waits for three keys"
sleep 60
EOF
(cd "$BUILD/tests/guest/programs" && "$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" keymap)
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 screen" --memory 512M \
	--control "$control" --timeout "$vm_limit"

wait_for "painted"
! grep -aq "no keymap" console || fail "no keymap"
cat >wanted <<'EOF'
1024x768
500,4 aa0000
500,20 0000aa
500,60 000000
EOF
look() {
	vm screenshot -f screen.png
	"$BUILD/tests/picture/picture" screen.png 500,4 500,20 500,60 >colours || fail "no picture"
	diff wanted colours >differences || fail "$(cat differences)"
}
look
wrong 2 "no keys for '日'" vm type "日本" --layout es --control "$control"
wrong 2 "no key 'foo'" vm keys ctrl-foo --control "$control"
vm type "contraseña@1|€" --layout es
vm keys enter
wait_for "first: "
tr -d '\r' <console | grep -aqxF "first: contraseña@1|€" || fail "it was: $(grep -a first: console)"
wait_for "slowly"
vm type "$long" --layout es
vm keys enter
wait_for "second: "
expect "second: $(printf %s "$long" | md5sum)"
wait_for "mouse at hand"
vm mouse x=12345 y=321 buttons=1 wheel=-2
wait_for "waits for three keys"
# EV_MSC, then EV_KEY, EV_ABS and EV_REL, as the HID driver puts them.
for event in "1 272 1" "3 0 12345" "3 1 321" "2 8 -2"; do
	tr -d '\r' <console | grep -aqxF "event: $event" || fail "no event $event: $(grep -a event: console)"
done
vm inspect worker/video
expect "worker.video.screen: 1024x768, 32 bits" said
vm keys ctrl-alt-del
# It starts again, and paints the same.
until [ "$(grep -ac painted console)" -ge 2 ]; do
	kill -0 "$vm" 2>/dev/null || fail "the VM ended"
	sleep 0.1
done
look
vm stop --force
finish
expect_status 0
