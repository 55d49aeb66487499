#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 120
# Every format and kind: what we make is read by qemu-img and by libvhdi, what qemu-img makes by us and by
# libvhdi, which makes none. The contents must be the same. QEMU reads no VHDX of 4096-byte sectors.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/vhdi.sh"
command -v qemu-img >/dev/null || skip "qemu-img is not installed"

head -c 9000000 /dev/urandom >a.img
truncate -s 40M a.img
head -c 3000000 /dev/urandom | dd of=a.img bs=1M seek=30 conv=notrunc status=none

# ours FILE QEMU-FORMAT WORD...: made by us, read by the others
ours() {
	file=$1 format=$2
	shift 2
	"$tabique" disk convert a.img "$file" "$@" || fail "convert into $file"
	"$tabique" disk check "$file" >check || fail "check of $file"
	grep -q 'is in order' check || fail "$file: $(cat check)"
	qemu-img compare -f raw -F "$format" a.img "$file" >compare || fail "$file: $(cat compare)"
	libvhdi_reads "$file" a.img
}
ours dynamic.vhd vpc type=dynamic
ours fixed.vhd vpc type=fixed
ours small.vhd vpc type=dynamic block=512K
ours dynamic.vhdx vhdx type=dynamic
ours fixed.vhdx vhdx type=fixed
ours large.vhdx vhdx type=dynamic block=32M
ours one.vhdx vhdx type=dynamic block=1M
for file in *.vhdx; do
	qemu-img check -f vhdx "$file" >check || fail "qemu-img check $file: $(cat check)"
done

# theirs FILE QEMU-FORMAT OPTIONS: made by qemu-img, read by us
theirs() {
	qemu-img convert -f raw -O "$2" -o "$3" a.img "$1" || fail "qemu-img convert $1"
	"$tabique" disk check "$1" >check || fail "check of $1: $(cat check)"
	"$tabique" disk convert "$1" back.img || fail "convert of $1"
	cmp back.img a.img || fail "$1 has other contents"
	rm -f back.img
	libvhdi_reads "$1" a.img
}
theirs q1.vhd vpc subformat=fixed,force_size=on
theirs q2.vhd vpc subformat=dynamic,force_size=on
theirs q3.vhdx vhdx subformat=dynamic
theirs q4.vhdx vhdx subformat=fixed
theirs q5.vhdx vhdx subformat=dynamic,block_size=1048576,log_size=4194304

# Every kind into every other, and back to the beginning.
"$tabique" disk convert q3.vhdx x1.vhd || fail "vhdx into vhd"
"$tabique" disk convert x1.vhd x2.vhdx sector=4096 || fail "vhd into vhdx of 4096"
"$tabique" disk convert x2.vhdx x3.img || fail "vhdx of 4096 into raw"
libvhdi_reads x2.vhdx a.img
cmp x3.img a.img || fail "three conversions changed the contents"
