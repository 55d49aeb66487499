#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# A whole Debian 12 as shipped, on a dynamic VHDX on the VMBus.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/debian.sh"
debian_disk
debian_start
debian_login
debian_do <<'EOF'
systemctl is-system-running --wait
systemctl --failed --no-legend --plain
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
cat /sys/bus/vmbus/devices/*/class_id | sort
readlink /sys/bus/vmbus/devices/*/driver | sed 's|.*/||' | sort
findmnt -no SOURCE,FSTYPE /
cat /sys/class/block/sda/device/model | sed 's/ *$//'
journalctl -b -k -p err -o cat
dmesg | grep -ciE 'lockup|hung task|call trace|i/o error|clocksource.*unstable'
head -c 30000000 /dev/urandom >/root/written
sync
md5sum </root/written
EOF
sed -n '$p' output >sum
sed -i '$d' output
cat >want <<'EOF'
running
hyperv_clocksource_tsc_page
{0e0b6031-5213-4934-818b-38d90ced39db}
{34d14be3-dee4-41c8-9ae7-6b174977c192}
{35fa2e29-ea23-4236-96ae-3a6ebacba440}
{525074dc-8985-46e2-8057-a307dc18a502}
{57164f39-9115-4e78-ab55-382f3bd5422d}
{9527e630-d0ae-497b-adce-e80ab0175caf}
{a9a0f4e7-5a45-4d96-b827-8a841e8c03e6}
{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}
{cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a}
{da0a7802-e377-4aac-8e77-0558eb1073f8}
{f912ad6d-2b17-48ea-bd65-f927a61c7684}
hid_hyperv
hv_balloon
hv_storvsc
hv_utils
hv_utils
hv_utils
hv_utils
hv_utils
hv_utils
hyperv_fb
hyperv_keyboard
/dev/sda1 ext4
Virtual Disk
0
EOF
diff want output || fail "the guest is not as it should be"
debian_off
expect_status 0

# What it left is in order, and what it wrote is there.
debian_check
debian_file /root/written | md5sum | cmp - sum || fail "not what the guest wrote"
