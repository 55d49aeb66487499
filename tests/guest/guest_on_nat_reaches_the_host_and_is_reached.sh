#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# A small guest on --net nat: an address by DHCP and by router advertisement, the host by both, many bytes
# both ways that are what they should be, a forwarded port, and the cable pulled out and put in.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net-guests.sh"
net_initrd
serve
out=$port
port=$((port + 1))
free_port
net_start guest --control ctl --net "nat,forward=$port-:7000"
exec 8>guest.input
says guest "tabique-guest: shell after"
do_it() {
	echo "$1" >&8
	says guest "$2"
}
do_it 'ip link set eth0 up; udhcpc -q -n -i eth0 -s /dhcp 2>/dev/null; ip -4 addr show eth0' "inet 10.0.2.15/24"
do_it 'ping -c 1 -s 4000 10.0.2.2' "1 packets received"
do_it 'until ip -6 addr show dev eth0 scope global | grep -v tentative | grep -q fd00:7461:6269:2; do sleep 0.2; done; echo "six"" is there"' "six is there"
for address in 10.0.2.2 fd00:7461:6269:2::2; do
	do_it "/peer send $address $out 30000000; echo \"sent\"\" \$? $address\"" "sent 0 $address"
	do_it "/peer receive $address $out 30000000 x4; echo \"received\"\" \$? $address\"" "received 0 $address"
	do_it "/peer ask $address $out 100; echo \"asked\"\" \$? $address\"" "asked 0 $address"
done
do_it '/peer serve 7000 &' "peer: ready"
"$peer" send 127.0.0.1 "$port" 10000000 || fail "the guest is not reached by its forwarded port"
"$peer" receive 127.0.0.1 "$port" 10000000 || fail "the guest's bytes are not what they should be"
"$tabique" nic detach nic0 --control ctl || fail "nic detach"
do_it 'until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do sleep 0.2; done; echo "cable"" out"' "cable out"
"$tabique" nic list --control ctl >listed
expect "link down" listed
"$tabique" nic attach nic0 --control ctl || fail "nic attach"
do_it 'until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.2; done; echo "cable"" in"' "cable in"
do_it "/peer send 10.0.2.2 $out 1000000; echo \"again\"\" \$?\"" "again 0"
wrong 3 "there is no such network adapter" nic detach nic1 --control ctl
echo 'poweroff -f' >&8
finish
expect_status 0
stop_server
