#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What libvhdi makes of an image, for cases; sourced after case.sh.

# libvhdi_reads IMAGE RAW: vhdimount shows RAW's contents (of the whole chain). Nothing where there is no
# vhdimount, or where it cannot mount.
libvhdi_reads() {
	command -v vhdimount >/dev/null && [ -w /dev/fuse ] && [ "$(id -u)" -eq 0 ] || return 0
	mkdir mounted
	vhdimount "$1" mounted >mount.log 2>&1 || fail "vhdimount $1: $(cat mount.log)"
	for disk in mounted/*; do last=$disk; done
	same=yes
	cmp "$last" "$2" >compare 2>&1 || same=no
	umount mounted
	rmdir mounted
	[ $same = yes ] || fail "libvhdi reads other contents of $1: $(cat compare)"
}
