#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/nbd.sh"
trap end_servers EXIT
head -c 3M /dev/urandom >a.img
truncate -s 20M a.img
serve one -x disk a.img
serve two -r a.img
one="nbd+unix:///disk?socket=$DIR/one.sock"

"$tabique" disk info "$one" >console 2>errors || fail "info"
expect "size:    20971520 bytes"
expect "format:  raw fixed"
"$tabique" disk convert "$one" b.vhdx 2>errors || fail "convert"
qemu-img compare -q -f raw -F vhdx a.img b.vhdx || fail "the copy differs"
[ "$(stat -c %s b.vhdx)" -lt 12000000 ] || fail "zeros were copied"

wrong 2 "is no address of an NBD export" disk info nbd:///x
wrong 2 "is no address of an NBD export" disk info "nbd+unix:///x"
wrong 2 "is no address of an NBD export" disk info nbd://host:port/x
wrong 2 "is no address of an NBD export" disk info nbd://host/%4
wrong 3 "its server cannot be reached: no such file" disk info "nbd+unix:///?socket=$DIR/none.sock"
wrong 1 "has no export named 'other'" disk info "nbd+unix:///other?socket=$DIR/one.sock"
wrong 1 "which alone can make it" disk create "$one" size=1G
wrong 1 "which alone can make it" disk convert a.img "$one"

refuse 1 "for reading only" --kernel "$kernels/hello.elf" --disk "nbd+unix:///?socket=$DIR/two.sock"
refuse 2 "is no address of an NBD export" --kernel "$kernels/hello.elf" --disk nbd://
refuse 1 "is raw, or an ISO image" --kernel "$kernels/hello.elf" --disk "$one,format=vhdx"
refuse 3 "its server cannot be reached" --kernel "$kernels/hello.elf" \
	--disk "nbd+unix:///?socket=$DIR/none.sock"
