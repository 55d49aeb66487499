#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 200
# A guest with eight adapters resets itself in the middle of traffic, and is paused in the middle of more:
# both times the network goes on, and no byte is wrong.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net.sh"
make_network
tabique_in_network
guest_script <<'EOF'
ls /sys/class/net | grep -c eth
for card in /sys/class/net/eth*; do
	[ "$(cat "$card/address")" != 00:15:5d:00:00:01 ] || name=${card##*/}
done
ip link set "$name" up
ip addr add 10.9.0.2/24 dev "$name"
sleep 1
# The host's side remembers: the second start is told apart by what it answers there.
if [ "$(/peer ask 10.9.0.1 5001 3 >/dev/null && wget -q -O - http://10.9.0.1:8000/starts)" = 1 ]; then
	/peer receive 10.9.0.1 5001 4000000000 &
	sleep 1
	echo b >/proc/sysrq-trigger
	sleep 60
fi
echo now pause
/peer receive 10.9.0.1 5001 100000000 || exit 1
/peer send 10.9.0.1 5001 100000000 || exit 1
EOF
cat >serve.sh <<'EOF'
#!/bin/sh
n=$(($(cat starts 2>/dev/null || echo 0) + 1))
echo $n >starts
printf 'HTTP/1.0 200 OK\r\n\r\n%s\n' $n
EOF
chmod 755 serve.sh
ip netns exec "$space" busybox nc -ll -p 8000 -e "$DIR/serve.sh" &
web=$!
trap 'kill $web; ip netns delete "$space"; kill "$server"' EXIT
(cd "$BUILD/tests/guest/programs" &&
	"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" peer)
others=
for n in 2 3 4 5 6 7 8; do
	in_network ip tuntap add dev tap$n mode tap vnet_hdr
	others="$others --net tap=tap$n,mac=00:15:5d:00:00:0$n"
done
# shellcheck disable=SC2086
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1" --memory 512M \
	--net "tap=$tap,mac=00:15:5d:00:00:01" $others --control ctl
wait_for 'now pause'
for round in 1 2 3; do
	"$tabique" vm pause --control ctl || fail "round $round: it does not stand"
	"$tabique" vm resume --control ctl || fail "round $round: it does not go on"
done
finish
expect 'script ended with 0'
expect_status 0
[ "$(tr -d '\r' <console | grep -c '^8$')" = 2 ] || fail "not eight adapters, twice"
