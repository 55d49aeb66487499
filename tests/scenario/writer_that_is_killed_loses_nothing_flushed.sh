#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# One kill each of `make soak KILLS=...`: VHD, VHDX, chains of three images.
. "$HERE/tests/tools/case.sh"
TMPDIR=$DIR "$HERE/tests/soak/disk-kill" "$BUILD" 1 "$(date +%s)" result >output 2>errors ||
	fail "something was lost or the images differ: $(cat errors)"
[ "$(grep -c 'nothing lost' result)" = 4 ] || fail "not all four images were tried: $(cat result)"
