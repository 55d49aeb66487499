#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/move/case.sh"
# It has a screen, a keyboard and a mouse with it.
append=screen
for cpus in 1 2; do
	move_while_computing $cpus "$engine,interp,$engine,interp,$engine"
done
