#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 240
# fio writes and verifies one disk all the time. In each round a VHDX and a loop device come, are
# written to, they and fio's own disk grow, and both leave: seen by the guest in under two
# seconds, nothing lost on the host's side, no stale device in the guest. ROUNDS=2.
. "$HERE/tests/tools/case.sh"
"$HERE/guests/make-io" >make-io.log 2>&1 || skip "$(tail -n 2 make-io.log | head -n 1)"
rounds=${ROUNDS:-2}
MIB=1048576

cat >script <<'EOF2'
dmesg -n 1
# block LUN: the name of its block device, "" where there is none.
block() {
	set -- /sys/bus/scsi/devices/0:0:0:$1/block/*
	case $1 in */'*') echo ;; *) echo "${1##*/}" ;; esac
}
# is_cached LUN: a notice of growth that came with MODE SENSE was lost, and the cache with it.
is_cached() {
	for type in /sys/bus/scsi/devices/0:0:0:$1/scsi_disk/*/cache_type; do
		read -r is_type 2>/dev/null <"$type" || continue
		case $is_type in "write back"*) ;; *) echo "lun $1 has no cache: $is_type" ;; esac
	done
}
# try_out LUN NAME: write, flush, read back past the cache.
try_out() {
	head -c 4194304 /dev/urandom >/tmp/data.$1
	dd if=/tmp/data.$1 of=/dev/$2 bs=1M conv=fsync 2>/dev/null &&
		dd if=/dev/$2 bs=1M count=4 iflag=direct 2>/dev/null | cmp - /tmp/data.$1 &&
		echo "lun $1 holds $(md5sum </tmp/data.$1 | cut -d ' ' -f 1)"
	rm -f /tmp/data.$1
}
while [ -z "$(block 0)" ]; do sleep 0.1; done
own=$(block 0)
passes=0
while [ ! -e /tmp/end ]; do
	/usr/bin/fio --name=pass --filename=/dev/$own --ioengine=libaio --iodepth=8 --direct=1 --bs=4k \
		--rw=randwrite --size=8M --randrepeat=0 --verify=crc32c --verify_fatal=1 \
		--fsync=64 --rate_iops=1000 >/tmp/fio.log 2>&1 || {
		cat /tmp/fio.log
		echo "fio failed"
		break
	}
	passes=$((passes + 1))
	echo $passes >/tmp/passes
	[ $passes -gt 1 ] || echo "fio runs"
done &
fio=$!
there1= there2= size0= size1= size2=
while [ -z "$(block 63)" ]; do
	for lun in 1 2; do
		eval "was=\$there$lun"
		is=$(block $lun)
		if [ -z "$was" ] && [ -n "$is" ] && [ -b /dev/$is ]; then
			eval "there$lun=$is"
			echo "lun $lun is there"
			try_out $lun $is &
		elif [ -n "$was" ] && [ -z "$is" ] && [ ! -e /dev/$was ] &&
			[ ! -e /sys/bus/scsi/devices/0:0:0:$lun ]; then
			eval "there$lun="
			echo "lun $lun is gone"
		fi
	done
	read -r is <"/sys/block/$own/size"
	[ "$is" = "$size0" ] || echo "lun 0 has $is sectors"
	size0=$is
	for lun in 1 2; do
		eval "name=\$there$lun was=\$size$lun"
		is=
		{ [ -z "$name" ] || read -r is <"/sys/block/$name/size"; } 2>/dev/null
		[ -z "$is" ] || [ "$is" = "$was" ] || {
			echo "lun $lun has $is sectors"
			is_cached $lun
		}
		eval "size$lun=$is"
	done
	sleep 0.05
done
touch /tmp/end
wait $fio
echo "passes of fio: $(cat /tmp/passes)"
echo "devices: $(ls /sys/block | grep -c ^sd)"
EOF2
"$HERE/guests/append-script" "$HERE/out/guests/io.img" "$DIR/script" "$DIR/initrd.img"

live() {
	"$tabique" "$@" >said 2>complaints || fail "$*: $(cat complaints)"
}
now() {
	echo $(($(date +%s%N) / 1000000))
}
# count TEXT: how often the guest has said it.
count() {
	tr -d '\r' <console | grep -acxF -e "$1"
}
# seen TEXT COUNT: the guest has said it that often; how long that took since $asked, at most.
slowest=0 late=0
seen() {
	while [ "$(count "$1")" -lt "$2" ]; do
		kill -0 "$vm" 2>/dev/null || fail "the VM ended before it said '$1'"
		[ "$(count "fio failed")" -eq 0 ] || fail "fio found what it had not written"
		sleep 0.02
	done
	took=$(($(now) - asked))
}
# Two seconds; on a host that is busy besides (two processes are this guest's), as much longer as
# it has more processes than processors.
in_time() {
	echo "$1 after $took ms" >>times
	limit=$(awk -v n="$(nproc)" '{ o = ($1 - 2) / n; print int(2000 * (o > 1 ? o : 1)) }' /proc/loadavg)
	[ "$took" -lt "$limit" ] || late=$((late + 1))
	[ "$took" -le "$slowest" ] || slowest=$took
}
# holds LUN: what the guest wrote to it last.
holds() {
	tr -d '\r' <console | sed -n "s/^lun $1 holds //p" | tail -n 1
}

loop=
trap '[ -z "$loop" ] || losetup -d "$loop"' EXIT
trap 'exit 130' INT TERM
truncate -s 64M loop.img
[ "$(id -u)" -ne 0 ] || loop=$(losetup --find --show loop.img 2>/dev/null) || loop=
live disk create own.vhdx size=32M
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 quiet" --memory 768M \
	--cpus 2 --disk own.vhdx --control ctl
asked=$(now)
seen "fio runs" 1
round=1
size=32 # of fio's disk; the loop device has 32 MiB more
while [ "$round" -le "$rounds" ]; do
	live disk create "come$round.vhdx" size=64M
	asked=$(now)
	live disk attach --control ctl "come$round.vhdx" --lun 1
	seen "lun 1 is there" "$round"
	in_time "lun 1 is there"
	if [ -n "$loop" ]; then
		asked=$(now)
		live disk attach --control ctl "$loop" --lun 2 --passthrough
		seen "lun 2 is there" "$round"
		in_time "lun 2 is there"
	fi
	size=$((size + 4))
	asked=$(now)
	live disk resize --control ctl scsi0:0 +4M
	live disk resize --control ctl scsi0:1 +64M
	if [ -n "$loop" ]; then
		truncate -s $((size + 32))M loop.img
		losetup --set-capacity "$loop"
		live disk resize --control ctl scsi0:2
		seen "lun 2 has $(((size + 32) * MIB / 512)) sectors" 1
	fi
	seen "lun 0 has $((size * MIB / 512)) sectors" 1
	seen "lun 1 has $((128 * MIB / 512)) sectors" "$round"
	until tr -d '\r' <console | grep -ac "^lun 1 holds" | grep -qx "$round"; do sleep 0.02; done
	asked=$(now)
	live disk detach --control ctl scsi0:1
	seen "lun 1 is gone" "$round"
	in_time "lun 1 is gone"
	live disk check "come$round.vhdx"
	live disk convert "come$round.vhdx" come.img
	[ "$(stat -c %s come.img)" -eq $((128 * MIB)) ] || fail "it has not grown on the host"
	[ "$(head -c $((4 * MIB)) come.img | md5sum | cut -d ' ' -f 1)" = "$(holds 1)" ] ||
		fail "round $round: the VHDX does not hold what the guest wrote"
	rm -f come.img "come$round.vhdx"
	if [ -n "$loop" ]; then
		until tr -d '\r' <console | grep -ac "^lun 2 holds" | grep -qx "$round"; do sleep 0.02; done
		live disk detach --control ctl scsi0:2
		seen "lun 2 is gone" "$round"
		[ "$(head -c $((4 * MIB)) loop.img | md5sum | cut -d ' ' -f 1)" = "$(holds 2)" ] ||
			fail "round $round: the loop device does not hold what the guest wrote"
	fi
	round=$((round + 1))
done
live vm inspect --control ctl worker/scsi/0/lun/0/image/errors
grep -qx "worker.scsi.0.lun.0.image.errors: 0" said || fail "errors: $(cat said)"
truncate -s 1M end.img
live disk attach --control ctl end.img --lun 63
finish
expect_status 0
tr -d '\r' <console | grep -aq "^passes of fio: [1-9]" || fail "fio did not get through once"
expect "devices: 2"
live disk check own.vhdx
grep -aq "fio failed" console && fail "fio found what it had not written"
grep -aq "has no cache" console && fail "$(grep -a "has no cache" console | head -n 1)"
tr -d '\r' <console | grep -a "^passes of fio" >&2
echo "rounds $rounds, slowest to be seen or gone $slowest ms, loop device ${loop:+passed through}" >&2
[ "$late" -eq 0 ] || fail "late $late times, the host's load in mind: $(tr '\n' ';' <times)"
[ -n "$loop" ] || [ "${ROUNDS:-2}" -eq 2 ] || fail "no loop device to pass through"
