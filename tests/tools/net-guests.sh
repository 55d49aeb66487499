#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the cases with a network are made of; they source it after case.sh.
#
# free_port: a TCP port of this host that nobody has, into $port.
# serve: `peer serve` of tests/guest/programs on this host, at $port; its process is $server.
# stop_server
# net_guest NAME OPTION...: the demonstration guest with `peer` in it, at a shell: its console is
#	NAME.console, what it is told goes to descriptor 8 (one) or 9 (two); its process is $vm.
# tell FD NAME TEXT COMMAND: run it in that guest, until its console has TEXT.
peer=$BUILD/tests/guest/programs/peer

free_port() {
	port=$((20000 + $$ % 20000))
	while ss -ltnH "sport = :$port" | grep -q .; do
		port=$((port + 1))
	done
}

serve() {
	free_port
	: >served
	"$peer" serve "$port" >served 2>&1 &
	server=$!
	until grep -q "peer: ready" served; do
		kill -0 "$server" 2>/dev/null || fail "peer: $(cat served)"
		sleep 0.05
	done
}

stop_server() {
	kill "$server"
	wait "$server" 2>/dev/null || :
}

# net_initrd: initrd.img, with `peer` and what udhcpc does with an address.
net_initrd() {
	cat >dhcp <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev eth0
ip route add default via "$router"
echo "nameserver $dns" >/etc/resolv.conf
END
	chmod +x dhcp
	mkdir -p root/etc
	cp "$peer" dhcp root/
	(cd root && find . | cpio -o -H newc --quiet | gzip -1) >extra.img
	cat "$demo" extra.img >initrd.img
}

net_start() {
	name=$1
	shift
	rm -f "$name.input"
	mkfifo "$name.input"
	: >"$name.console"
	"$tabique" run --engine "$engine" --kernel "$vmlinuz" --initrd initrd.img \
		--append "console=ttyS0 panic=-1 quiet" --memory 256M "$@" <"$name.input" >"$name.console" 2>"$name.errors" &
	vm=$!
}

# says NAME TEXT: wait until the guest's console has it.
says() {
	wait_for "$2" "$1.console"
}
