#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
. "$HERE/tests/tools/case.sh"
boot_script --cpus 2 <<'EOF'
dmesg | grep -o 'Hypervisor detected: .*'
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
# No clock was measured against another one, and nothing was wrong with any MSR.
dmesg | grep -ciE 'calibration failed|unchecked MSR|clocksource: .*unstable|WARNING'
awk '/^ *HVS:/ && $2 + $3 { print ($2 > 0) + ($3 > 0), "processors tick by stimer 0" }' /proc/interrupts
# Five seconds of the guest's are five of the RTC's.
a=$(cat /sys/class/rtc/rtc0/since_epoch) b=$(cut -d. -f1 /proc/uptime)
sleep 5
c=$(cat /sys/class/rtc/rtc0/since_epoch) d=$(cut -d. -f1 /proc/uptime)
off=$(((c - a) - (d - b)))
[ $off -ge -1 ] && [ $off -le 1 ] && echo "the clocks agree" || echo "rtc $((c - a)) uptime $((d - b))"
EOF
cat >want <<'EOF'
Hypervisor detected: Microsoft Hyper-V
hyperv_clocksource_tsc_page
0
2 processors tick by stimer 0
the clocks agree
EOF
[ "$engine" != kvm ] || sed -i '/stimer/d' want
diff want output || fail "the guest's commands gave something else"
expect_status 0
