#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Servers for cases whose disks are on the network; sourced after case.sh. A case that uses them ends
# them itself, by `trap end_servers EXIT`.
servers=

# serve NAME OPTION... FILE: qemu-nbd on the socket NAME.sock.
serve() {
	name=$1
	shift
	qemu-nbd --fork --persistent --pid-file "$DIR/$name.pid" -k "$DIR/$name.sock" -f raw "$@" ||
		fail "qemu-nbd does not start"
	servers="$servers $name"
}

# serve_port NAME OPTION... FILE: the same on a port of the loopback that is free: $port.
serve_port() {
	name=$1 port=20000
	shift
	until qemu-nbd --fork --persistent --pid-file "$DIR/$name.pid" -b 127.0.0.1 -p "$port" -f raw \
		"$@" 2>refused; do
		port=$((port + 1))
		[ "$port" -lt 20100 ] || fail "qemu-nbd does not start: $(cat refused)"
	done
	servers="$servers $name"
}

# end_server NAME
end_server() {
	kill "$(cat "$DIR/$1.pid")"
	while kill -0 "$(cat "$DIR/$1.pid")" 2>/dev/null; do
		sleep 0.02
	done
	rm -f "$DIR/$1.pid"
}
end_servers() {
	for name in $servers; do
		[ ! -f "$DIR/$name.pid" ] || end_server "$name"
	done
}
