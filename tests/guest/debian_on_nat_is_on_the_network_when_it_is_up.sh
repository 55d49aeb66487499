#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# A whole Debian 12 on --net nat: its first adapter has an address by DHCP when it is up, its host reads name
# and address by KVP within ten seconds, it speaks TCP with a server on the host, and takes a static
# address from its host. That it gets packages from Debian is tried, and said, but needs Debian's servers.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/debian.sh"
. "$HERE/tests/tools/net-guests.sh"

live() {
	"$tabique" "$@" --control ctl >said 2>complaints || fail "$*: $(cat complaints)"
}
# soon KEY TEXT: that key has TEXT in it within ten seconds.
soon() {
	tries=0
	until live vm kvp get "$1" && grep -qF -e "$2" said; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "after ten seconds $1 is '$(cat said)', not '$2'"
		sleep 0.1
	done
	echo "$1: $(cat said), after $tries tenths of a second"
}
debian_disk
serve
debian_start --control ctl --net nat
debian_login
debian_do <<'END'
systemctl is-system-running --wait >/dev/null
systemctl is-active hv-kvp-daemon networking
until ip -4 -o addr show eth0 | grep -q inet; do sleep 0.2; done
ip -4 -o addr show eth0 | tr -s ' ' | cut -d ' ' -f 4
ip -4 route show default | cut -d ' ' -f 3
grep -v '^#' /etc/resolv.conf
END
printf 'active\nactive\n10.0.2.15/24\n10.0.2.2\nnameserver 10.0.2.3\n' | cmp - output ||
	fail "not what DHCP gives: $(cat output)"
soon FullyQualifiedDomainName debian
soon NetworkAddressIPv4 10.0.2.15

live vm copy "$peer" /root/
debian_do <<END
chmod +x /root/peer
/root/peer send 10.0.2.2 $port 20000000 && /root/peer receive 10.0.2.2 $port 20000000
END
[ "$guest_status" -eq 0 ] || fail "TCP to a server on the host: $(cat output)"
debian_do <<'END'
apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=15 update 2>&1 | tail -n 1
END
echo "apt: $(cat output)"

debian_do <<'END'
cat /sys/class/net/eth0/device/device_id
END
card=$(cat output)
live vm address "$card" address=10.0.2.77 mask=255.255.255.0 gateway=10.0.2.2 dns=10.0.2.3
soon NetworkAddressIPv4 10.0.2.77
debian_do <<END
/root/peer ask 10.0.2.2 $port 10
END
[ "$guest_status" -eq 0 ] || fail "TCP from its static address: $(cat output)"
debian_off
expect_status 0
stop_server
debian_check
