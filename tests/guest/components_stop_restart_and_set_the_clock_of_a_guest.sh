#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# The in-box hv_utils: the heart beats, the guest's clock is the host's after a pause, it restarts and
# powers off when it is asked. PAUSE: seconds that it stands.
. "$HERE/tests/tools/case.sh"

live() {
	"$tabique" "$@" >said 2>complaints || fail "$*: $(cat complaints)"
}
# look LINE: until inspect shows it.
look() {
	until live vm inspect --control ctl worker/ic && grep -q "^worker.ic.$1" said; do
		kill -0 "$vm" || fail "the VM ended before inspect showed '$1'"
		sleep 0.1
	done
}
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1" --memory 512M --cpus 2 --control ctl
wait_for "tabique-guest: shell after"
look "heartbeat.guest: ok"
look "shutdown.version: 3.2"
look "timesync.version: 4.0"
look "timesync.sets: 1"

# now_of: the guest's time in microseconds; the shell's date knows seconds alone.
echo "now_of() { adjtimex | awk '/tv_sec/ { s = \$2 } /tv_usec/ { printf \"%d%06d\", s, \$2 }'; }" >&8

# The guest's time lies between the host's when it was asked and when it has answered; the clock's
# distance from the host's is at most what is outside of that. The quickest of ten answers counts.
clock_is_right() {
	rm -f distances
	for k in 0 1 2 3 4 5 6 7 8 9; do
		before=$(($(date +%s%N) / 1000))
		echo "echo time$1-$k=\$(now_of)=" >&8
		wait_for "time$1-$k=1"
		after=$(($(date +%s%N) / 1000))
		guest=$(tr -d '\r' <console | sed -n "s/.*time$1-$k=\([0-9]\{16\}\)=.*/\1/p")
		[ -n "$guest" ] || fail "the guest does not say what time it is"
		away=0
		[ "$guest" -ge "$before" ] || away=$(((before - guest) / 1000))
		[ "$guest" -le "$after" ] || away=$(((guest - after) / 1000))
		echo "$(((after - before) / 1000)) $away" >>distances
	done
	read -r took away <<-END
		$(sort -n distances | head -n 1)
	END
	echo "the clock is at most $away ms away from the $took ms of the quickest answer"
	[ "$away" -le 50 ]
}
clock_is_right 1 || fail "the guest's clock is $away ms away"
live vm pause --control ctl
wrong 4 "stands already" vm pause --control ctl
live vm show --control ctl
expect "state: paused" said
wrong 4 "the VM is paused" vm stop --control ctl
# That is what is tried.
sleep "${PAUSE:-5}"
live vm resume --control ctl
look "timesync.sets: 2"
clock_is_right 2 || fail "the guest's clock is $away ms away after a pause"

live vm reboot --control ctl
until [ "$(grep -ac 'tabique-guest: shell after' console)" -eq 2 ]; do
	kill -0 "$vm" || fail "asked to restart, it has ended"
	sleep 0.1
done
look "heartbeat.guest: ok"
live vm stop --control ctl
expect "hv_utils: Shutdown request received"
finish
expect_status 0
