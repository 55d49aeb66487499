#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest that looped over CPUID ended the hypervisor: gcc had made a call of the handler's last
# jump, because a local of it lay in memory.
. "$HERE/tests/tools/case.sh"
library=$BUILD/src/libtabique_x86.a
objdump -s -j .comment "$library" | grep -q GCC || skip "only gcc's code needs this look"
"$HERE/tests/tools/check-jumps" "$library" || fail "these handlers call the next record"
