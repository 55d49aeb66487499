#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 200
. "$HERE/tests/tools/case.sh"
"$BUILD/tests/unit/unit-kvm" >console 2>&1 || fail "unit-kvm ended with $?"
tail -n 1 console | grep -q ' passed, 0 failed, 0 skipped$' || fail "not everything was tried"
