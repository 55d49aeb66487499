#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 200
# Four processors: a channel each, and thirty-two connections use all of them. Then the cable is pulled and put
# in again, and the guest sees both.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net.sh"
make_network
tabique_in_network
guest_script <<'EOF'
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
sleep 1
/peer receive 10.9.0.1 5001 1000000 x32 || exit 1
/peer send 10.9.0.1 5001 1000000 x32 || exit 1
cat /proc/interrupts | grep -i hyperv
echo now look
while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done
echo link is down
while [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.1; done
echo link is up
/peer receive 10.9.0.1 5001 1000000 || exit 1
EOF
(cd "$BUILD/tests/guest/programs" &&
	"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" peer)
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1" --memory 512M \
	--cpus 4 --net "tap=$tap" --control ctl
wait_for 'now look'
"$tabique" vm inspect --control ctl >tree
for queue in 0 1 2 3; do
	frames=$(sed -n "s/^.*nic\.0\.queue\.$queue\.frames_in: //p" tree)
	[ "${frames:-0}" -gt 10 ] || fail "queue $queue took ${frames:-no} frames: $(grep queue tree)"
	sent=$(sed -n "s/^.*nic\.0\.queue\.$queue\.frames_out: //p" tree)
	[ "${sent:-0}" -gt 0 ] || fail "queue $queue sent nothing: $(grep queue tree)"
done
"$tabique" nic detach nic0 --control ctl || fail "the cable cannot be pulled"
wait_for 'link is down'
"$tabique" nic attach nic0 --control ctl || fail "the cable cannot be put in"
wait_for 'link is up'
finish
expect 'script ended with 0'
expect_status 0
