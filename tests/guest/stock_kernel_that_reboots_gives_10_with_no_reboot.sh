#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
. "$HERE/tests/tools/case.sh"
boot_script --cpus 1 --no-reboot <<'EOF'
echo "tabique-guest: script ended with 0"
reboot -f
EOF
expect_status 10
