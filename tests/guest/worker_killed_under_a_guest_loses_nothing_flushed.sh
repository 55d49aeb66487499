#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# A guest writes to a dynamic VHDX and says what it was told to be durable; its worker is killed, three
# times on one image. What the guest has said is there each time, of all lives before too.
. "$HERE/tests/tools/case.sh"
"$tabique" disk create disk.vhdx size=256M type=dynamic block=1M >/dev/null || fail "no image"

# piece LIFE NUMBER: 64 KiB that tell which they are.
cat >piece <<'EOP'
piece() {
	yes "life $1 piece $2" | head -c 65536
}
EOP
. ./piece

# The pieces of a life are a megabyte apart, so that most writes change the block table.
verify() {
	"$tabique" disk convert disk.vhdx now.raw type=raw >/dev/null 2>errors || fail "it cannot be read"
	while read -r life number; do
		piece "$life" "$number" >want
		dd if=now.raw bs=65536 skip=$((number * 16 + life)) count=1 status=none |
			cmp -s - want || fail "piece $number of life $life is lost"
	done <said
	rm now.raw
}

: >said
for life in 1 2 3; do
	{
		cat piece
		cat <<EOP
while [ ! -b /dev/sda ]; do sleep 0.1; done
n=0
while [ \$n -lt 255 ]; do
	piece $life \$n | dd of=/dev/sda bs=65536 seek=\$((n * 16 + $life)) conv=notrunc,fsync 2>/dev/null
	echo "durable \$n."
	n=\$((n + 1))
done
sleep 100
EOP
	} >script
	"$HERE/guests/append-script" "$demo" script initrd.img
	rm -f input
	start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 quiet" \
		--memory 512M --disk disk.vhdx
	wait_for "durable $((life * 20))."
	kill -KILL "$(child tabique-worker)"
	finish
	[ "$status" -ne 0 ] || fail "the end of the worker went unnoticed"
	tr -d '\r' <console | sed -n "s/^durable \([0-9]*\)\.$/$life \1/p" >>said
	"$tabique" disk check disk.vhdx >check 2>&1 || fail "check: $(cat check)"
	verify
done
[ "$(wc -l <said)" -ge 120 ] || fail "the guest said too little: $(wc -l <said)"
