#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differencing images: parents are found in the child's folder only, merged, and refused when changed.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/vhdi.sh"

head -c 9000000 /dev/urandom >a.img
truncate -s 20M a.img
mkdir base
for end in vhd vhdx; do
	"$tabique" disk convert a.img "os.$end" || fail "convert"
	"$tabique" disk create "one.$end" parent="os.$end" || fail "create one.$end"
	"$tabique" disk create "two.$end" parent="one.$end" || fail "create two.$end"
	"$tabique" disk info "two.$end" >info
	expect "parent:  ./one.$end" info
	"$tabique" disk convert "two.$end" out.img || fail "reading a chain of three"
	cmp out.img a.img || fail "the chain has other contents"
	rm out.img
	libvhdi_reads "two.$end" a.img
	"$tabique" disk merge "two.$end" >merge || fail "merge"
	expect "merged into 'one.$end'" merge
	[ ! -e "two.$end" ] || fail "the merged child is still there"
	"$tabique" disk convert "one.$end" out.img || fail "reading the merged image"
	cmp out.img a.img || fail "the merged image has other contents"
	rm out.img
	# elsewhere: only where it is allowed
	mv "os.$end" base
	status=0
	"$tabique" disk check "one.$end" >/dev/null 2>errors || status=$?
	expect_status 3
	expect "its parent './os.$end' is not in its folder" errors
	"$tabique" disk check "one.$end" parents=base >/dev/null || fail "parents=base"
	ln -s base/os."$end" "os.$end"
	status=0
	"$tabique" disk check "one.$end" >/dev/null 2>errors || status=$?
	expect_status 3
	rm "os.$end"
done

mv base/os.vhdx .
"$tabique" disk resize os.vhdx 30M || fail "resize"
status=0
"$tabique" disk check one.vhdx >/dev/null 2>errors || status=$?
expect_status 1
expect "the parent was changed or exchanged" errors
