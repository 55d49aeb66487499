#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# A stock kernel on a tap: TCP both ways with every byte compared, IPv4 and IPv6, at MTU 1500 and 9000, with
# each offload on and off. The kernel on the tap's other side drops what has a wrong sum, and the guest's
# is made to look by taking its own offload away.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net.sh"
ethtool=$(command -v ethtool) || skip "no ethtool"
mtu=9000 make_network
tabique_in_network
mkdir files
{
	echo "$ethtool"
	ldd "$ethtool" | sed -n 's/^.*=> \(\/[^ ]*\) .*$/\1/p; s/^[ 	]*\(\/[^ ]*\) .*$/\1/p'
} | while read -r file; do
	cp -L "$file" files/
done
programs="peer $(echo "$DIR"/files/*)" boot_script --net "tap=$tap,mtu=9000" <<'EOF'
mkdir -p /lib64 /lib/x86_64-linux-gnu
for f in /*.so*; do
	cp "$f" /lib64/
	cp "$f" /lib/x86_64-linux-gnu/
done
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
ip -6 addr add fd09::2/64 dev eth0
sleep 1
both() {
	/peer send "$1" 5001 "$2" || exit 1
	/peer receive "$1" 5001 "$2" || exit 1
}
both 10.9.0.1 20000000
both fd09::1 20000000
ip link set eth0 mtu 9000 || exit 2
ip addr show eth0 | grep mtu
sleep 1
both 10.9.0.1 20000000
ip link set eth0 mtu 1500 || exit 2
sleep 1
for offload in tso tx rx lro gro sg; do
	for state in off on; do
		/ethtool -K eth0 $offload $state || exit 3
		both 10.9.0.1 3000000
	done
done
/ethtool -K eth0 tso off tx off rx off lro off gro off
both 10.9.0.1 3000000
both fd09::1 3000000
/peer ask 10.9.0.1 5001 100 || exit 4
cat /proc/net/snmp | grep -E '^(Ip|Tcp):'
echo all went well
EOF
expect 'all went well' output
! grep -q WRONG output || fail "$(cat output)"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status: $(tail -n 3 output)"
! grep -q 'bad bytes' peer.errors || fail "$(cat peer.errors)"
