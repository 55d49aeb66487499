#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
. "$HERE/tests/tools/case.sh"
programs=numbers
boot_script --cpus 1 <<'EOF'
/numbers
EOF
"$BUILD/tests/guest/programs/numbers" >want
diff want output || fail "the guest computes something else"
[ "$guest_status" = 0 ] || fail "the guest's script ended with $guest_status"
expect_status 0
