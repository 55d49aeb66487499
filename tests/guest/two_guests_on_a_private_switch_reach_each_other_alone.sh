#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# Two guests on a private switch exchange bytes that are what they should be. The capture shows their frames,
# and none of anybody else's; the host cannot be reached from there.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net-guests.sh"
net_initrd
"$tabique" switch run lan.sock --capture lan.pcap >heard 2>switch.errors &
switch=$!
vm=$switch
wait_for "switch on 'lan.sock'" heard
net_start one --net socket=lan.sock,mac=00:15:5d:00:00:01
first=$vm
exec 8>one.input
net_start two --net socket=lan.sock,mac=00:15:5d:00:00:02
second=$vm
exec 9>two.input
says one "tabique-guest: shell after"
says two "tabique-guest: shell after"
echo 'ip link set eth0 up; ip addr add 192.168.7.1/24 dev eth0; ip route add default dev eth0; /peer serve 7000 &' >&8
says one "peer: ready"
echo 'ip link set eth0 up; ip addr add 192.168.7.2/24 dev eth0; ip route add default dev eth0' >&9
echo '/peer send 192.168.7.1 7000 20000000 && /peer receive 192.168.7.1 7000 20000000; echo "both ways"" $?"' >&9
says two "both ways 0"
echo 'ping -c 2 -W 1 10.0.2.2 | grep transmitted; echo "no host"" there"' >&9
says two "no host there"
expect "0 packets received" two.console
for fd in 8 9; do echo 'poweroff -f' >&$fd; done
vm=$first
finish
expect_status 0
vm=$second
finish
expect_status 0
kill -TERM "$switch"
wait "$switch" || fail "the switch did not end well"
expect " 0 from a forged address, 0 malformed" switch.errors
tcpdump -r lan.pcap -n -e -vv >frames 2>/dev/null || fail "tcpdump does not read the capture"
sed -n 's/^[0-9:.]* \([0-9a-f:]*\) > .*/\1/p' frames | sort -u >sources
[ "$(tr '\n' ' ' <sources)" = "00:15:5d:00:00:01 00:15:5d:00:00:02 " ] ||
	fail "frames of somebody else: $(cat sources)"
sed -n 's/^ *\([0-9.]*\)\.[0-9]* > [0-9.]*: Flags.*/\1/p' frames | sort -u >sources
[ "$(tr '\n' ' ' <sources)" = "192.168.7.1 192.168.7.2 " ] || fail "packets of somebody else: $(cat sources)"
[ "$(grep -c 'cksum 0x[0-9a-f]* (correct)' frames)" -gt 500 ] || fail "few segments"
! grep 'cksum.*incorrect' frames || fail "wrong check sums"
