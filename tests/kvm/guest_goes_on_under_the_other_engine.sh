#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 400
# rig: only when named, it takes minutes there
. "$HERE/tests/tools/case.sh"
rounds=8
. "$HERE/tests/move/case.sh"
for cpus in 1 2; do
	move_while_computing $cpus kvm,soft,kvm
done
