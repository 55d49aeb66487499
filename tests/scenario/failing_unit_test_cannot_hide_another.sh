#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
status=0
"$BUILD/tests/unit/harness-selftest" >all || status=$?
expect_status 1
sed 's|^[^ ]*selftest.c:\([0-9]*\): |LINE |' all >got
cat >want <<'EOF'
LINE assert_fails_and_cleans_up: value is 5 (0x5), not 6 = 6 (0x6)
cleaned 5
LINE hangs: not done after 1 s
LINE crashes: killed by signal 11 (Segmentation fault)
LINE helper_fails: "one" is "one", not "two" = "two"
LINE helper_fails: helper()
LINE expectation_fails_and_it_goes_on: 1 == 2
went on
LINE leaves_early_with_status_0: exit status 0
LINE memory_differs: "abcd" differs from "abxd" at byte 2 of 4: 0x63, not 0x78
skip: skips: no reason here
1 passed, 7 failed, 1 skipped
EOF
diff want got || fail "the harness counts otherwise"
