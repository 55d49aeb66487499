#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 180
# tabique-disk is killed at six moments of a merge. The child reads as before, until the parent reads so
# alone; done again, the merge ends well.
. "$HERE/tests/tools/case.sh"
program=$BUILD/tests/crash/disk-kill

# load IMAGE...: what a mini-guest writes into the first, closed in order.
load() {
	"$program" load journal 7 0 "$@" >said 2>&1 || fail "the writer: $(cat said)"
}
chain() {
	"$program" new journal 25165824 >/dev/null || fail "no journal"
	"$program" rules journal pages small-trims >/dev/null || fail "no rules"
	"$tabique" disk create parent."$1" size=24M >said || fail "create"
	load parent."$1"
	"$tabique" disk create child."$1" parent=parent."$1" >said || fail "create"
	load child."$1" parent."$1"
	mkdir "whole-$1"
	mv parent."$1" child."$1" "whole-$1"
	"$tabique" disk convert "whole-$1/child.$1" "want-$1" >said || fail "convert"
}
now() {
	date +%s%N
}
# reads IMAGE: it is in order, and its contents are those of the child.
reads() {
	"$tabique" disk check "$1" >said 2>&1 || fail "check of $1: $(cat said)"
	! grep -q '^error' said || fail "check of $1: $(cat said)"
	rm -f now.img
	"$tabique" disk convert "$1" now.img >said 2>&1 || fail "convert of $1: $(cat said)"
	cmp now.img "want-${1#*.}" || fail "$1 has other contents"
}

under_way=0
for end in vhd vhdx; do
	chain $end
	cp --sparse=always "whole-$end"/* .
	start=$(now)
	"$tabique" disk merge child.$end >said || fail "merge"
	took=$(($(now) - start))
	reads parent.$end
	k=0
	while [ $k -lt 6 ]; do
		cp --sparse=always "whole-$end"/* .
		"$tabique" disk merge child.$end >said 2>&1 &
		vm=$!
		sleep "$(awk -v ns="$took" -v k="$k" 'BEGIN { printf "%.6f", ns * k / 12e9 }')"
		worker=
		while [ -z "$worker" ] && kill -0 "$vm" 2>/dev/null; do worker=$(child tabique-disk); done
		kill -KILL $worker 2>/dev/null
		finish
		[ "$status" -eq 0 ] || under_way=$((under_way + 1))
		if [ ! -e child.$end ]; then
			reads parent.$end
		elif "$tabique" disk check child.$end 2>&1 | grep -q "the parent was changed"; then
			rm child.$end
			reads parent.$end
		else
			reads child.$end
			"$tabique" disk merge child.$end >said 2>&1 || fail "merge again: $(cat said)"
			reads parent.$end
		fi
		k=$((k + 1))
	done
done
[ $under_way -gt 0 ] || fail "no merge was under way when it was killed"
echo "$under_way of 12 merges were under way"
