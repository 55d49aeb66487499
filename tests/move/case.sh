#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the cases are made of in which a guest goes on under another engine. They source it after
# tests/tools/case.sh and call
#	move_vm ENGINE,ENGINE... OPTION...	initrd.img, as start does; the first boots
#	moved					as finish does: it has powered off, and was moved so often
#	move_while_computing CPUS ENGINE,ENGINE...	while two programs compute
rounds=${rounds:-30}

move_vm() {
	engines=$1
	moves=$(($(echo "$engines" | tr ',' '\n' | wc -l) - 1))
	shift
	rm -f input
	mkfifo input
	: >console
	"$BUILD/tests/move/move-vm" --hv "$BUILD/bin/tabique-hv" --engines "$engines" \
		--kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 ${append:-}" "$@" \
		<input >console 2>errors &
	vm=$!
	exec 8>input
}

moved() {
	finish
	[ "$status" -eq 0 ] || fail "$engines: exit status $status: $(tail -n 1 errors)"
	expect "moved $moves times" errors
}

# lines NAME: what /steady NAME printed, without what else was on the console.
lines() {
	tr -d '\r' <console | grep -aoE "$1 [0-9]+ of $rounds: [0-9a-f]{16}"
}

move_while_computing() {
	cpus=$1
	echo 'exec setsid cttyhack sh' >script
	(cd "$BUILD/tests/guest/programs" &&
		"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" steady)
	between=$(echo "$2" | tr ',' '\n' | wc -l)
	move_vm "$2" --at " of $rounds: " --every $((2 * rounds / between)) --memory 256 --cpus "$cpus"
	wait_for "guest#"
	echo "/steady a $rounds & /steady b $rounds; wait; echo computed: \$((1 + 1))" >&8
	wait_for "computed: 2"
	# The shell answers, timers tick; the date is behind by as long as the guest stood, no more.
	cat >&8 <<'EOF'
loc() { awk '/LOC:/ { n = 0; for (k = 2; $k ~ /^[0-9]+$/; k++) n += $k; print n }' /proc/interrupts; }
a=$(loc); sleep 1; b=$(loc); [ $b -gt $a ] && echo timers: $((6 * 7))
d=$(($(date +%s) - $(cat /sys/class/rtc/rtc0/since_epoch))); [ $d -ge -20 ] && [ $d -le 2 ] && echo date: $((7 * 7))
dmesg | grep -iE 'unstable|stall|lockup|backwards|bug:|oops|spurious|call trace'; echo complaints: $((8 * 8))
poweroff -f
EOF
	moved
	for name in a b; do
		"$BUILD/tests/guest/programs/steady" $name $rounds >want 2>>host-errors
		lines $name >got
		diff want got || fail "$engines with $cpus CPUs: $name computed something else"
		expect "$name: clocks went back 0 times"
	done
	for said in 'timers: 42' 'date: 49' 'complaints: 64'; do
		expect "$said"
	done
	tr -d '\r' <console | sed -n '/dmesg |/,/^complaints/p' |
		grep -v 'Marking TSC unstable due to running on Hyper-V' |
		grep -iE '^\[.*(unstable|stall|lockup|backwards|bug:|oops|spurious|call trace)' &&
		fail "$engines with $cpus CPUs: the guest's kernel complains"
	return 0
}
