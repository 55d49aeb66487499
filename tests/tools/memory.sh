#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cases about dynamic memory, with a control socket `ctl`, source it after case.sh.
#
# held MIB: the VM of `start` is told to have so much, and has it.
mib=1048576

held() {
	until "$tabique" vm set --control ctl "memory=$1M" >said 2>complaints; do
		kill -0 "$vm" || fail "the VM ended before it had $1 MiB"
		sleep 0.2
	done
	until
		"$tabique" vm inspect --control ctl worker/memory/assigned >said 2>complaints
		grep -q ": $(($1 * mib))$" said
	do
		kill -0 "$vm" || fail "the VM ended on its way to $1 MiB"
		sleep 0.2
	done
}
