#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A DVD drive gets another disc while the guest runs: it reads the new one, its size and its label.
# A drive that the guest has locked keeps its disc, unless forced. What the guest ejects is the
# host's again.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/disc.sh"

cat >script <<'EOF2'
dmesg -n 1
exec </dev/console
# looks WORD: what is in the drive, or that nothing is.
looks() {
	label=$(dd if=/dev/sr0 bs=1 skip=32808 count=32 2>/dev/null) || label="no disc"
	read -r sectors </sys/block/sr0/size
	echo "$1: ${label%%  *}, $sectors sectors"
}
until [ -b /dev/sr0 ]; do sleep 0.1; done
looks first
echo "turn 1"; read -r go
looks second
/drive lock
echo "turn 2"; read -r go
looks third
/drive unlock
/drive eject
looks ejected
echo "turn 3"; read -r go
looks fourth
echo "turn 4"; read -r go
looks "taken away"
EOF2
(cd "$BUILD/tests/guest/programs" &&
	"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" drive)
disc a.iso "FIRST" 4
disc b.iso "SECOND" 6
disc c.iso "THIRD" 5

change() {
	"$tabique" disk "$@" --control ctl >said 2>complaints
}
start --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 quiet" \
	--memory 512M --cdrom a.iso --control ctl
wait_for "turn 1"
expect "first: FIRST, 8192 sectors"
change insert scsi0:0 b.iso || fail "insert: $(cat complaints)"
expect "inserted into scsi0:0: 6291456 bytes" said
echo >&8
wait_for "turn 2"
expect "second: SECOND, 12288 sectors"
if change insert scsi0:0 c.iso; then fail "a locked drive took another disc"; fi
expect "the guest has locked the drive" complaints
change insert scsi0:0 c.iso --force || fail "insert --force: $(cat complaints)"
ln c.iso c.img
"$tabique" disk resize c.img 8M >said 2>complaints && fail "c.iso is in the drive, and was changed"
echo >&8
wait_for "turn 3"
expect "third: THIRD, 10240 sectors"
expect "eject: 0"
expect "ejected: no disc, "
"$tabique" vm inspect --control ctl worker/scsi/0/lun/0/format >said || fail "inspect"
expect "empty" said
"$tabique" vm show --control ctl >said || fail "show"
expect "disk: scsi0:0 iso - (read-only)" said
# It is nobody's: another program may write it.
"$tabique" disk resize c.img 8M >said 2>complaints || fail "c.iso: $(cat complaints)"
change insert scsi0:0 a.iso || fail "insert into the empty drive: $(cat complaints)"
echo >&8
wait_for "turn 4"
expect "fourth: FIRST, 8192 sectors"
change eject scsi0:0 || fail "eject: $(cat complaints)"
echo >&8
finish
expect_status 0
expect "taken away: no disc, "
