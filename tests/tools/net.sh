#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For cases that use a network of their own; they source it after case.sh:
#
# make_network: a network namespace $space with a tap $tap, the host's side of which has 10.9.0.1/24 and
#	fd09::1/64; and `peer serve` on port 5001 behind it. Gone when the case ends.
# in_network COMMAND...
# with_ethtool: the guest's archive gets ethtool with its libraries; used as $ethtool_files
space=tabique-$$
tap=tap0

make_network() {
	[ "$(id -u)" -eq 0 ] || skip "a network namespace and a tap are made by root"
	ip netns add "$space" 2>/dev/null || skip "this host makes no network namespaces"
	trap 'ip netns delete "$space"; [ -z "${server:-}" ] || kill "$server"' EXIT
	in_network ip link set lo up
	in_network ip tuntap add dev $tap mode tap vnet_hdr || skip "this host makes no taps"
	in_network ip link set $tap mtu "${mtu:-1500}" up
	in_network ip addr add 10.9.0.1/24 dev $tap
	in_network ip addr add fd09::1/64 dev $tap nodad
	# Not by the function: what is killed at the end shall be the server itself.
	ip netns exec "$space" "$BUILD/tests/guest/programs/peer" serve 5001 >peer 2>peer.errors &
	server=$!
}

in_network() {
	ip netns exec "$space" "$@"
}

# `tabique` in the namespace: run, start and the like go through it.
tabique_in_network() {
	printf '#!/bin/sh\nexec ip netns exec %s %s "$@"\n' "$space" "$tabique" >tabique
	chmod 755 tabique
	tabique=$DIR/tabique
}
