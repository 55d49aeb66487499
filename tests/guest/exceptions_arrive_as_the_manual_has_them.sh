#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
# What is expected is the manual's; QEMU's TCG differs in five of these.
run --kernel "$kernels/exceptions.elf" --memory 64M --cpus 1 --debug-exit --timeout $vm_limit </dev/null
cat >want <<'EOF'
divide by zero vector 00000000 code 00000000 at 00000002
divide overflow vector 00000000 code 00000000 at 0000000a
breakpoint vector 00000003 code 00000000 at 00000001
overflow vector 00000004 code 00000000 at 00000009
no overflow vector 000000ff code 00000000 at 00000000
bound vector 00000005 code 00000000 at 00000005
undefined vector 00000006 code 00000000 at 00000000
lock without memory vector 00000006 code 00000000 at 00000000
lock on a load vector 00000006 code 00000000 at 00000000
selector beyond the table vector 0000000d code 00000028 at 00000005
null into ss vector 0000000d code 00000000 at 00000002
code into ss vector 0000000d code 00000008 at 00000005
null into es vector 000000ff code 00000000 at 00000000
use of null es vector 0000000d code 00000000 at 00000000
gate that is absent vector 0000000d code 000003ba at 00000000
reserved bits of cr4 vector 0000000d code 00000000 at 00000008
paging without protection vector 0000000d code 00000000 at 00000005
msr that is absent vector 0000000d code 00000000 at 00000005
single step vector 00000001 code 00000000 at 0000000a
int1 vector 00000001 code 00000000 at 00000001
write watched vector 00000001 code 00000000 at 0000000a
read not watched vector 000000ff code 00000000 at 00000000
dr6 low bits 00000001
read of an absent page vector 0000000e code 00000000 cr2 00301004 at 00000000
write of an absent page vector 0000000e code 00000002 cr2 00301008 at 00000000
read over the edge vector 0000000e code 00000000 cr2 00301000 at 00000000
read of an absent table vector 0000000e code 00000000 cr2 12345678 at 00000000
fetch of an absent page vector 0000000e code 00000000 cr2 00301010 in the fetch
write protected, not enforced vector 000000ff code 00000000 at 00000000
write protected vector 0000000e code 00000003 cr2 00300000 at 00000000
what was written 00000001
accessed and dirty 00000060
read of a page that came vector 000000ff code 00000000 at 00000000
read of a page that went vector 0000000e code 00000000 cr2 00301000 at 00000000
EOF
tr -d '\r' <console | diff want - || fail "other exceptions"
expect_status 1
