#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"

# wrong STATUS CAUSE WORD...
wrong() {
	want=$1 cause=$2
	shift 2
	status=0
	timeout 20 "$tabique" "$@" >said 2>complaints </dev/null || status=$?
	expect_status "$want"
	expect "$cause" complaints
	grep -q '^fix: .' complaints || fail "no cure for '$cause'"
	[ ! -s said ] || fail "words on standard output"
}
wrong 2 "which VM?" vm stop
wrong 2 "which VM?" disk attach a.img
wrong 2 "'vm pause' is not part" vm pause --control ctl
wrong 2 "unknown option '--force'" vm show --control ctl --force
wrong 2 "'--control' needs a value" vm show --control
wrong 2 "one word too many" vm stop --control ctl web1
wrong 2 "'timeout=soon' is not" vm stop --control ctl timeout=soon
wrong 2 "'scsi9:0' is no unit" disk detach --control ctl scsi9:0
wrong 2 "'scsi0:64' is no unit" disk attach --control ctl a.img --lun 64
wrong 2 "'huge' is no size" disk resize --control ctl scsi0:0 huge
wrong 2 "too few or too many" disk insert --control ctl scsi0:0
wrong 2 "'sr0' is no unit" disk eject --control ctl sr0
wrong 3 "no VM listens on 'ctl'" vm inspect --control ctl

start --kernel "$kernels/spin.elf" --control ctl --timeout 60
truncate -s 1M a.img
until [ -S ctl ]; do
	sleep 0.05
done
wrong 2 "'$DIR/a.img' is no block device" disk attach --control ctl a.img --passthrough
wrong 3 "cannot be opened" disk attach --control ctl none.img
wrong 2 "neither a file nor" disk attach --control ctl /dev/null
wrong 2 "no such format" disk attach --control ctl a.img format=qcow2
wrong 3 "no disk at that place" disk detach --control ctl scsi0:5
wrong 3 "no disk at that place" disk resize --control ctl scsi0:5 1G
wrong 3 "no disk at that place" disk insert --control ctl scsi0:5 a.img
wrong 3 "shows nothing at that path" vm inspect --control ctl worker/nothing
echo nothing >b.vhdx
"$tabique" disk attach --control ctl b.vhdx 2>complaints && fail "nothing is a VHDX"
expect "not a VHDX" complaints
"$tabique" disk attach --control ctl a.img >said || fail "attach"
grep -qx "attached scsi0:0: 1048576 bytes" said || fail "attach said: $(cat said)"
wrong 4 "is in use" disk attach --control ctl a.img
truncate -s 1M c.img
wrong 4 "a disk at that place already" disk attach --control ctl c.img --lun 0
wrong 2 "a disk can only grow" disk resize --control ctl scsi0:0 512K
wrong 2 "only a DVD drive changes its medium" disk insert --control ctl scsi0:0 c.img
# The image is ours again, with nothing lost, as soon as the disk has left.
"$tabique" disk detach --control ctl scsi0:0 >/dev/null || fail "detach"
"$tabique" disk info a.img >/dev/null || fail "the lock is still there"
"$tabique" disk attach --control ctl a.img --lun 63 --controller scsi3 -o json >said || fail "attach again"
expect '"id": "scsi3:63"' said
"$tabique" vm show --control ctl >said || fail "show"
grep -q "^disk: scsi3:63 raw $DIR/a.img$" said || fail "show said: $(cat said)"
# A guest without a power button's driver: the wait ends.
wrong 1 "the guest has not powered off in 1 seconds" vm stop --control ctl timeout=1
"$tabique" vm stop --control ctl --force || fail "stop"
finish
expect_status 0
