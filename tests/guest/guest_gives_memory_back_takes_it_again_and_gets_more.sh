#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# The in-box hv_balloon under load: from 1 GiB to 256 MiB and back, ROUNDS times (3), while a program writes
# and reads: the host's memory follows, nothing that was written is lost, the guest's kernel kills nobody.
# A guest of 256 MiB has to keep some available (its driver's floor), so huge pages, for which its kernel keeps
# still more, are off. Then 512 MiB more than it began with, which hold data that came from a disk. FIGURES: a file for a line a round.
. "$HERE/tests/tools/case.sh"
rounds=${ROUNDS:-3}
figures=${FIGURES:-figures}
mib=1048576

live() {
	"$tabique" "$@" >said 2>complaints || fail "$*: $(cat complaints)"
}
# shown NAME: what inspect shows of the memory.
shown() {
	live vm inspect --control ctl worker/memory
	sed -n "s/^worker.memory.$1: //p" said
}
# hold SIZE: until the guest has that.
hold() {
	live vm set --control ctl "memory=$1M"
	until [ "$(shown assigned)" -eq $(($1 * mib)) ]; do
		kill -0 "$vm" || fail "the VM ended on its way to $1 MiB"
		sleep 0.2
	done
}
# In MiB: what the host has given for the guest's memory, and for the two processes beside it.
host_memory() {
	worker=$(child tabique-worker)
	for fd in "/proc/$worker/fd"/*; do
		case $(readlink "$fd") in
		*memfd:tabique-ram*) guest=$(($(stat -L -c %b "$fd") / 2048)) ;;
		esac
	done
	own=$(($(cat "/proc/$worker/status" "/proc/$(child tabique-hv)/status" |
		awk '/^Rss(Anon|File):/ { n += $2 } END { print n }') / 1024))
}

head -c $((64 * mib)) /dev/urandom >disk.img
guest_script <<'END'
dmesg -n 1
echo 0 >/sys/module/hv_balloon/parameters/pressure_report_delay
echo "driver is there"
read -r word </dev/console
/hold 32 /tmp/end &
echo "load starts"
while
	set -- $(grep MemTotal /proc/meminfo)
	[ "$2" -lt $((1400 * 1024)) ]
do
	sleep 0.2
done
echo "total: $(($2 / 1024)) MiB"
disk=$(disk_of 0)
for k in 1 2 3; do
	echo "disk: $(md5sum </dev/$disk | cut -c 1-32)"
	echo 3 >/proc/sys/vm/drop_caches
done
touch /tmp/end
wait
dmesg | grep -iE 'out of memory|oom|killed process|bad page|bug:|lockup|stall|call trace' | grep -v 'oom_reaper: started'
echo "complaints: none but these"
END
(cd "$BUILD/tests/guest/programs" && "$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" hold)
start --kernel "$vmlinuz" --initrd initrd.img --disk disk.img --memory 1G,max=1536M --cpus 2 --control ctl \
	--append "console=ttyS0 panic=-1 memhp_default_state=online transparent_hugepage=never"
# Nobody decides for us.
wait_for "driver is there"
hold 1024
echo go >&8
wait_for "load starts"
n=0
while [ $n -lt "$rounds" ]; do
	n=$((n + 1))
	until [ "$(grep -ac 'hold: full with' console)" -ge $n ]; do
		kill -0 "$vm" || fail "the VM ended in round $n"
		sleep 0.1
	done
	host_memory
	full="$guest + $own"
	[ "$guest" -le $((1024 * 11 / 10)) ] || fail "round $n: a guest of 1024 MiB takes $full MiB"
	[ $((guest + own)) -ge $((1024 * 9 / 10)) ] || fail "round $n: a guest of 1024 MiB that is full takes $full MiB"
	begin=$(date +%s)
	hold 256
	down=$(($(date +%s) - begin))
	host_memory
	[ "$guest" -le $((256 * 11 / 10)) ] || fail "round $n: a guest of 256 MiB takes $guest MiB"
	# What the processes have for themselves (translated code, tables) is no memory of the guest's.
	[ $n -gt 1 ] || first=$own
	[ "$own" -le $((first + 25)) ] || fail "round $n: the processes have grown from $first to $own MiB"
	hold 1024
	! grep -aq "WRONG\|Out of memory\|oom-kill" console || fail "round $n went wrong"
	echo "round $n: at 1024 MiB the host gives $full MiB, at 256 MiB $guest + $own, $down s later" >>"$figures"
done
cat "$figures"
[ "$(shown wrong)" -eq 0 ] || fail "the guest gave what is not its"
[ "$(shown punch_failures)" -eq 0 ] || fail "memory did not go back"
hold 1536
wait_for "complaints: none but these"
finish
expect_status 0
tr -d '\r' <console >said
expect "all that was written was read" said
! grep -q "hold: WRONG" said || fail "something else was read than was written"
sed -n '/^hold: [0-9]* rounds/,/^complaints/p' said | sed '1d;$d' | grep . && fail "the guest's kernel complains"
total=$(sed -n 's/^total: \([0-9]*\) MiB$/\1/p' said)
echo "MemTotal with 512 MiB more: $total MiB"
[ "$total" -ge 1400 ] || fail "the guest has $total MiB"
[ "$(grep -c "^disk: $(md5sum <disk.img | cut -c 1-32)$" said)" -eq 3 ] || fail "the disk reads otherwise in added memory"
