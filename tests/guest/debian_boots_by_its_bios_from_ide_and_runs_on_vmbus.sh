#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 900
# A whole Debian 12 by its own boot loader: SeaBIOS, GRUB on the serial port, its kernel, which finds the
# disk of IDE once, on the VMBus, and the DVD drive on IDE. A reboot begins with the firmware again.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/debian.sh"
. "$HERE/tests/tools/disc.sh"
[ -f /usr/share/seabios/bios-256k.bin ] || skip "no SeaBIOS: package seabios"
debian_disk
disc a.iso "FIRST" 4
start --bios --disk debian.vhdx,bus=ide --cdrom a.iso --memory 512M --control ctl
wait_for "GRUB  version"
debian_login
"$tabique" vm inspect --control ctl worker/firmware >said || fail "inspect"
expect "Booting from Hard Disk" said
debian_do <<'END'
systemctl is-system-running --wait
findmnt -no SOURCE,FSTYPE /
ls /sys/block | grep -v loop
for d in sda sr0; do readlink -f /sys/block/$d/device | grep -oE 'VMBUS|ata[0-9]+' | sort -u; done
cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name
for f in /sys/bus/pci/devices/*; do cat $f/vendor $f/device; done | paste - - | sort
dd if=/dev/sr0 bs=1 skip=32808 count=5 2>/dev/null; echo
cmp -n 8192 /dev/sr0 /dev/sr0 && blockdev --getsz /dev/sr0
dmesg | grep -ciE 'lockup|hung task|call trace|i/o error|clocksource.*unstable'
head -c 3000000 /dev/urandom >/root/written
sync
md5sum </root/written
END
sed -n '$p' output >sum
sed -i '$d' output
cat >want <<'END'
running
/dev/sda1 ext4
sda
sr0
VMBUS
ata1
Microsoft Corporation
Virtual Machine
0x1414	0x5353
0x8086	0x1237
0x8086	0x7110
0x8086	0x7111
0x8086	0x7113
FIRST
8192
0
END
diff want output || fail "the guest is not as it should be"
# Once more from the firmware on; then the plug is pulled, while nothing is written yet.
menus=$(grep -ac 'GRUB  version' console) # one a terminal
echo 'systemctl reboot' >&8
until [ "$(grep -ac 'GRUB  version' console)" -gt "$menus" ]; do
	kill -0 "$vm" 2>/dev/null || fail "the VM ended at a reboot"
	sleep 0.05
done
"$tabique" vm stop --control ctl --force >said 2>&1 || fail "stop: $(cat said)"
finish
debian_check
debian_file /root/written | md5sum | cmp - sum || fail "not what the guest wrote"
