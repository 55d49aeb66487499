#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A tap that is no tap, has several queues, or is in use: said in one sentence, with a cure.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/net.sh"
[ "$(id -u)" -eq 0 ] || skip "a network namespace and a tap are made by root"
ip netns add "$space" 2>/dev/null || skip "this host makes no network namespaces"
trap 'ip netns delete "$space"' EXIT
in_network ip tuntap add dev tap0 mode tap || skip "this host makes no taps"
in_network ip tuntap add dev tap1 mode tap multi_queue
in_network ip link set tap0 mtu 1400 up
tabique_in_network
kernel=$kernels/spin.elf
refuse 3 "tap=tap7: there is no such interface" --kernel "$kernel" --net tap=tap7
expect "fix: make it: ip tuntap add dev tap7 mode tap" errors
refuse 1 "tap=lo: it is no tap of one queue" --kernel "$kernel" --net tap=lo
refuse 1 "tap=tap1: it is no tap of one queue" --kernel "$kernel" --net tap=tap1
start --kernel "$kernel" --memory 64M --control ctl --net tap=tap0
wait_for spinning
wrong 1 "tap=tap0: somebody else has it" run --kernel "$kernel" --net tap=tap0
"$tabique" nic list --control ctl >listed || fail "nic list"
expect "nic: nic0 tap=tap0 00:15:5d:" listed
expect "mtu 1400" listed
"$tabique" vm stop --force --control ctl || fail "vm stop"
finish
expect_status 0
