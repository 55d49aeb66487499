#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# A disk leaves and another one takes its number at once, while the guest scans for a third and
# reads from a fourth: it must show the new one's size. Linux took it for the one before, or found
# it and then removed what it had found. ROUNDS=6.
. "$HERE/tests/tools/case.sh"
rounds=${ROUNDS:-6}

cat >script <<'EOF2'
dmesg -n 1
block() {
	set -- /sys/bus/scsi/devices/0:0:0:$1/block/*
	case $1 in */'*') echo ;; *) echo "${1##*/}" ;; esac
}
while [ -z "$(block 0)" ]; do sleep 0.1; done
own=$(block 0)
for reader in 1 2; do
	while [ ! -e /tmp/end ]; do
		dd if=/dev/$own of=/dev/null bs=4k count=2000 iflag=direct 2>/dev/null
	done &
done
echo "it reads"
size=
while [ -z "$(block 63)" ]; do
	name=$(block 1) is=none
	{ [ -z "$name" ] || read -r is <"/sys/block/$name/size"; } 2>/dev/null
	[ "$is" = "$size" ] || echo "lun 1 has $is sectors"
	size=$is
	sleep 0.05
done
touch /tmp/end
wait
EOF2
"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img"

change() {
	"$tabique" disk "$@" --control ctl >said 2>complaints || fail "$*: $(cat complaints)"
}
truncate -s 32M own.img
truncate -s 8M other.img
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 quiet" \
	--memory 512M --cpus 2 --disk own.img --control ctl
wait_for "it reads"
round=1
while [ "$round" -le "$rounds" ]; do
	truncate -s $((10 + round))M come$round.img
	change attach come$round.img --lun 1
	wait_for "lun 1 has $(((10 + round) * 2048)) sectors"
	change attach other.img --lun 2
	sleep 0.0$((round % 10))
	change detach scsi0:1
	change detach scsi0:2
	round=$((round + 1))
done
truncate -s 1M end.img
change attach end.img --lun 63
finish
expect_status 0
