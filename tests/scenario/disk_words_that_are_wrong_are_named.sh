#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"

wrong 2 "needs a size" disk create a.vhdx
wrong 2 "'size=10X' cannot be" disk create a.vhdx size=10X
wrong 2 "unknown option" disk info a.vhdx --what
wrong 2 "unknown verb 'disk shrink'" disk shrink a.vhdx
wrong 2 "one file is needed" disk info
wrong 2 "at most 2040 GiB" disk create a.vhd size=4T
wrong 2 "at most 64 TiB" disk create a.vhdx size=65T
wrong 2 "needs a parent" disk create a.vhdx type=differencing
wrong 3 "disk 'none.vhdx' cannot be opened" disk check none.vhdx
echo nothing >a.vhdx
wrong 1 "not a VHDX" disk info a.vhdx
wrong 4 "file exists" disk create a.vhdx size=1G
rm a.vhdx
"$tabique" disk create a.vhdx size=64M || fail "create"
wrong 2 "a disk can only grow" disk resize a.vhdx 32M
exec 9<>a.vhdx
python3 -c '
import fcntl, struct, sys
fcntl.fcntl(9, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))' || skip "no python3 to hold a lock"
wrong 4 "is in use" disk check a.vhdx
exec 9>&-
"$tabique" disk check a.vhdx >/dev/null || fail "check after the lock is gone"
ls -A >names
grep -v '^a.vhdx$\|^said$\|^complaints$\|^names$\|^output$' names && fail "something was left behind"
exit 0
