#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each wrong word of --net is named, with a cure, before anything starts.
. "$HERE/tests/tools/case.sh"
kernel=$kernels/spin.elf

net() {
	status=$1
	cause=$2
	shift 2
	refuse "$status" "$cause" --kernel "$kernel" "$@"
}

net 2 "there is no network 'wifi'" --net wifi
net 2 "there is no network ''" --net ""
net 2 "'' is no name of a tap" --net tap=
net 2 "is no name of a tap" --net tap=a-name-of-more-than-15-characters
net 2 "is no name of a switch's socket" --net socket=
net 2 "'speed=10' is not known" --net nat,speed=10
net 2 "'00:15:5d:zz:00:01' is no address of an adapter" --net nat,mac=00:15:5d:zz:00:01
net 2 "is no address of an adapter" --net nat,mac=00:15:5d:00:01
net 2 "is an address of a group" --net nat,mac=01:00:5e:00:00:01
net 2 "is an address of a group" --net nat,mac=00:00:00:00:00:00
net 2 "an MTU from 576 to 9000" --net nat,mtu=575
net 2 "an MTU from 576 to 9000" --net nat,mtu=1500x
for forward in 22 22-22 -:22 0-:22 65536-:22 22-:0 22-:65536 300.0.0.1:22-:22 22-::22 22-1.2.3:22 sctp:22-:22 ""; do
	net 2 "'$forward' is no port to forward" --net "nat,forward=$forward"
done
net 2 "forward= belongs to nat" --net tap=tap0,forward=2222-:22
net 2 "'none' beside another network" --net none --net nat
net 2 "'none' beside another network" --net nat --net none
net 2 "at most 8 network adapters" --net nat --net nat --net nat --net nat --net nat --net nat \
	--net nat --net nat --net nat
net 3 "no switch listens on './none.sock'" --net socket=./none.sock
net 3 "there is no such interface" --net tap=no-such-tap0
net 1 "cannot be forwarded: cannot assign requested address" --net nat,forward=192.0.2.77:2222-:22
net 1 "cannot be forwarded: address already in use" --net nat,forward=47113-:22 \
	--net nat,forward=47113-:22
