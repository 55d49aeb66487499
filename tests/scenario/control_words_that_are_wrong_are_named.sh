#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"

# named STATUS CAUSE WORD...: and a cure.
named() {
	wrong "$@"
	grep -q '^fix: .' complaints || fail "no cure for '$2'"
}
named 2 "which VM?" vm stop
named 2 "which VM?" disk attach a.img
named 2 "'vm save' is not part" vm save --control ctl
named 2 "unknown option '--force'" vm show --control ctl --force
named 2 "'--control' needs a value" vm show --control
named 2 "one word too many" vm stop --control ctl web1
named 2 "'timeout=soon' is not" vm stop --control ctl timeout=soon
named 2 "'scsi9:0' is no unit" disk detach --control ctl scsi9:0
named 2 "'scsi0:64' is no unit" disk attach --control ctl a.img --lun 64
named 2 "'huge' is no size" disk resize --control ctl scsi0:0 huge
named 2 "too few or too many" disk insert --control ctl scsi0:0
named 2 "'sr0' is no unit" disk eject --control ctl sr0
named 2 "'cpus=2' cannot be set" vm set --control ctl cpus=2
named 2 "memory: 'lots' is not an amount" vm set --control ctl memory=lots
named 2 "memory.buffer: '20%' is not an amount" vm set --control ctl memory.buffer=20%
named 3 "no VM listens on 'ctl'" vm inspect --control ctl

start --kernel "$kernels/spin.elf" --control ctl --timeout 60
truncate -s 1M a.img
until [ -S ctl ]; do
	sleep 0.05
done
named 2 "'$DIR/a.img' is no block device" disk attach --control ctl a.img --passthrough
named 3 "cannot be opened" disk attach --control ctl none.img
named 2 "neither a file nor" disk attach --control ctl /dev/null
named 2 "no such format" disk attach --control ctl a.img format=qcow2
named 3 "no disk at that place" disk detach --control ctl scsi0:5
named 3 "no disk at that place" disk resize --control ctl scsi0:5 1G
named 3 "no disk at that place" disk insert --control ctl scsi0:5 a.img
named 2 "what shall be otherwise" vm set --control ctl
named 4 "no driver for dynamic memory" vm set --control ctl memory=256M
expect "modprobe hv_balloon" complaints
named 2 "the least memory would be more than the most" vm set --control ctl memory.min=1G memory.max=256M
named 2 "room for 512 MiB" vm set --control ctl memory.max=4G
"$tabique" vm show --control ctl >said || fail "show"
expect "dynamic_memory.assigned: 536870912" said
expect "dynamic_memory.status: no driver" said
named 3 "shows nothing at that path" vm inspect --control ctl worker/nothing
echo nothing >b.vhdx
"$tabique" disk attach --control ctl b.vhdx 2>complaints && fail "nothing is a VHDX"
expect "not a VHDX" complaints
"$tabique" disk attach --control ctl a.img >said || fail "attach"
grep -qx "attached scsi0:0: 1048576 bytes" said || fail "attach said: $(cat said)"
named 4 "is in use" disk attach --control ctl a.img
truncate -s 1M c.img
named 4 "a disk at that place already" disk attach --control ctl c.img --lun 0
named 2 "a disk can only grow" disk resize --control ctl scsi0:0 512K
named 2 "only a DVD drive changes its medium" disk insert --control ctl scsi0:0 c.img
# The image is ours again, with nothing lost, as soon as the disk has left.
"$tabique" disk detach --control ctl scsi0:0 >/dev/null || fail "detach"
"$tabique" disk info a.img >/dev/null || fail "the lock is still there"
"$tabique" disk attach --control ctl a.img --lun 63 --controller scsi3 -o json >said || fail "attach again"
expect '"id": "scsi3:63"' said
"$tabique" vm show --control ctl >said || fail "show"
grep -q "^disk: scsi3:63 raw $DIR/a.img$" said || fail "show said: $(cat said)"
# A guest without a power button's driver: the wait ends.
named 1 "the guest has not powered off in 1 seconds" vm stop --control ctl timeout=1
"$tabique" vm stop --control ctl --force || fail "stop"
finish
expect_status 0
