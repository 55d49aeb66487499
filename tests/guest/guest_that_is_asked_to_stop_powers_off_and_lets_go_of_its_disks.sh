#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# A guest that starts without any SCSI controller gets two of them, with a chain of images behind one;
# a request to reset it, then its power button.
. "$HERE/tests/tools/case.sh"

live() {
	"$tabique" "$@" >said 2>complaints || fail "$*: $(cat complaints)"
}
mkdir base
live disk create base/os.vhdx size=32M
live disk create child.avhdx parent=base/os.vhdx
truncate -s 16M plain.img
start --kernel "$vmlinuz" --initrd "$demo" --append "console=ttyS0 panic=-1" --memory 512M --cpus 2 --control ctl
wait_for "tabique-guest: shell after"
live disk attach --control ctl child.avhdx --controller scsi2 --lun 9
live disk attach --control ctl plain.img --controller scsi0 --read-only
live vm show --control ctl
expect "disk: scsi0:0 raw $DIR/plain.img (read-only)" said
expect "disk: scsi2:9 vhdx $DIR/child.avhdx" said
echo 'until [ $(ls /sys/block | grep -c ^sd) -eq 2 ]; do sleep 0.1; done; cat /sys/block/sd*/size | sort; cat /sys/block/sd*/ro | sort' >&8
wait_for 32768
wait_for 65536
echo 'for d in /sys/block/sd*; do case $(cat $d/size) in 65536) dd if=/init of=/dev/${d##*/} bs=4k count=1 conv=sync,fsync 2>/dev/null; esac; done; echo written"-"now' >&8
wait_for written-now
# While the VM has them, others may read the parent at most.
"$tabique" disk info base/os.vhdx >/dev/null || fail "the parent cannot be read"
status=0
"$tabique" disk check child.avhdx >said 2>complaints || status=$?
expect_status 4
live vm inspect --control ctl worker
expect "worker.scsi.2.lun.9.images: 2" said
expect "worker.scsi.0.lun.0.read_only: 1" said
expect "worker.vmbus.state: offered" said
live vm reset --control ctl
until [ "$(grep -ac 'tabique-guest: shell after' console)" -eq 2 ]; do
	kill -0 "$vm" || fail "the reset has ended it"
	sleep 0.05
done
echo 'until [ $(ls /sys/block | grep -c ^sd) -eq 2 ]; do sleep 0.1; done; echo still"-"there' >&8
wait_for still-there
live vm stop --control ctl
# The command ends when everything is closed.
live disk check child.avhdx
live disk convert child.avhdx out.img
[ "$(head -c 100 out.img | md5sum)" = "$(head -c 100 "$HERE/guests/demo/init" | md5sum)" ] ||
	fail "what the guest wrote is not in the child"
finish
expect_status 0
