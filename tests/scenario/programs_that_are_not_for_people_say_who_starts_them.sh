#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
for program in tabique-hv tabique-worker tabique-disk tabique-nat tabique-switch; do
	for word in "" --help; do
		status=0
		# shellcheck disable=SC2086
		timeout 10 "$BUILD/bin/$program" $word >console 2>errors 3<&- </dev/null || status=$?
		expect_status 2
		[ "$(wc -l <errors)" -eq 1 ] || fail "$program says more than one line"
		expect "starts this program; see 'tabique --help'" errors
		[ ! -s console ] || fail "words on standard output"
	done
done
"$tabique" --help >console 2>errors || fail "--help fails"
expect "usage: tabique"
