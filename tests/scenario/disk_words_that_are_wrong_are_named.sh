#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"

# wrong STATUS CAUSE WORD...
wrong() {
	want=$1 cause=$2
	shift 2
	status=0
	timeout 20 "$tabique" disk "$@" >console 2>errors </dev/null || status=$?
	expect_status "$want"
	expect "$cause" errors
	[ ! -s console ] || fail "words on standard output"
}
wrong 2 "needs a size" create a.vhdx
wrong 2 "'size=10X' cannot be" create a.vhdx size=10X
wrong 2 "unknown option" info a.vhdx --what
wrong 2 "unknown verb 'disk shrink'" shrink a.vhdx
wrong 2 "one file is needed" info
wrong 2 "at most 2040 GiB" create a.vhd size=4T
wrong 2 "at most 64 TiB" create a.vhdx size=65T
wrong 2 "needs a parent" create a.vhdx type=differencing
wrong 3 "disk 'none.vhdx' cannot be opened" check none.vhdx
echo nothing >a.vhdx
wrong 1 "not a VHDX" info a.vhdx
wrong 4 "file exists" create a.vhdx size=1G
rm a.vhdx
"$tabique" disk create a.vhdx size=64M || fail "create"
wrong 2 "a disk can only grow" resize a.vhdx 32M
exec 9<>a.vhdx
python3 -c '
import fcntl, struct, sys
fcntl.fcntl(9, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))' || skip "no python3 to hold a lock"
wrong 4 "is in use" check a.vhdx
exec 9>&-
"$tabique" disk check a.vhdx >/dev/null || fail "check after the lock is gone"
ls -A >names
grep -v '^a.vhdx$\|^console$\|^errors$\|^names$\|^output$' names && fail "something was left behind"
exit 0
