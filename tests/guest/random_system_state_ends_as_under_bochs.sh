#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# Random system state - paging structures, segments, rings, exceptions in the middle of instructions, x87
# and vector state - with a few random instructions in it leaves the same behind as under Bochs. CASES=600 of
# them, SEED=1; tests/soak/system/soak-system runs more, and shows one that differs.
. "$HERE/tests/tools/case.sh"
[ "$engine" != kvm ] || skip "the host's own processor is not asked: it may be of another vendor"
"$HERE/tests/tools/install-missing" system >install.log 2>&1 || skip "$(tail -n 2 install.log | head -n 1)"

OUT=$DIR/out PIECE=${CASES:-600} "$HERE/tests/soak/system/soak-system" "$BUILD" "${CASES:-600}" \
	"${SEED:-1}" "$engine" >result 2>errors || fail "$(cat result out/*.log 2>/dev/null)"
grep -q '^600 cases, 0 differ$' result || [ -n "${CASES:-}" ] || fail "$(cat result)"
