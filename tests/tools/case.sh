#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the cases of tests/guest and tests/scenario are made of. They source it:
#	. "$HERE/tests/tools/case.sh"
# run-cases sets HERE (the project), BUILD (a build folder), DIR (the case's own folder) and LIMIT (the
# seconds that it may take).
set -u
tabique=$BUILD/bin/tabique
kernels=$BUILD/tests/guest/kernels
vmlinuz=$HERE/out/guests/vmlinuz
demo=$HERE/out/guests/demo.img
engine=${ENGINE:-soft}
# For --timeout: a VM that hangs ends with its words shortly before the case is ended without.
vm_limit=$((${LIMIT:-60} * 9 / 10))
cd "$DIR" || exit 2

fail() {
	echo "$*"
	for f in console errors; do
		[ ! -s "$f" ] || {
			echo "-- end of $f:"
			tail -n 15 "$f" | tr -d '\r'
		}
	done
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# run OPTION...: `tabique run`, console into the file console, standard error into errors,
# exit status into $status. Standard input is the caller's.
run() {
	status=0
	"$tabique" run --engine "$engine" "$@" >console 2>errors || status=$?
}

# times_out TEXT OPTION...: a VM that says TEXT and never ends is ended by --timeout. It has ten times as
# long where a slow host did not let it come to its words.
times_out() {
	text=$1
	shift
	for seconds in 2 20 200; do
		[ $seconds -lt "$vm_limit" ] || break
		run "$@" --timeout $seconds </dev/null
		expect_status 124
		! grep -aqF -e "$text" console || return 0
	done
	expect "$text"
}

# start OPTION...: the same in the background; its process is $vm. Input: the FIFO input, which
# is held open as descriptor 8.
start() {
	mkfifo input
	# Who waits for a word is not to find that of a VM before: the next line empties it some time later.
	: >console
	"$tabique" run --engine "$engine" "$@" <input >console 2>errors &
	vm=$!
	exec 8>input
}

# finish: wait for what start began; the exit status into $status.
finish() {
	status=0
	wait "$vm" || status=$?
}

# wait_for TEXT [FILE]: until FILE (console) has TEXT in it, or the VM has ended.
wait_for() {
	until grep -aqF -e "$1" "${2:-console}" 2>/dev/null; do
		kill -0 "$vm" 2>/dev/null || {
			grep -aqF -e "$1" "${2:-console}" && return
			fail "the VM ended before it said '$1'"
		}
		sleep 0.05
	done
}

# guest_script <SCRIPT: write the file script, for a guest to run, with these words before it:
#
# disk_of LUN: wait for that unit of the first SCSI controller, and say its name (sda). The kernel
# gives names in whatever order its scans end.
guest_script() {
	cat >script <<'END_OF_WORDS'
disk_of() {
	i=0
	while [ ! -d "/sys/bus/scsi/devices/0:0:0:$1/block" ] && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	ls "/sys/bus/scsi/devices/0:0:0:$1/block"
}
END_OF_WORDS
	cat >>script
}

# boot_script OPTION... <SCRIPT: boot the demonstration guest with a script to run in it, and
# the $programs of tests/guest/programs. The script's output goes to the file output, its exit
# status to $guest_status.
boot_script() {
	guest_script
	# shellcheck disable=SC2086
	(cd "$BUILD/tests/guest/programs" &&
		"$HERE/guests/append-script" "$demo" "$DIR/script" "$DIR/initrd.img" ${programs:-})
	run --kernel "$vmlinuz" --initrd initrd.img --append "console=ttyS0 panic=-1 ${append:-}" \
		--memory 512M "$@" </dev/null
	tr -d '\r' <console | sed -n '/^tabique-guest: script starts$/,/^tabique-guest: script ended/p' |
		sed '1d;$d' | grep -vE '^\[ *[0-9]+\.[0-9]+\]' >output
	guest_status=$(tr -d '\r' <console | sed -n 's/^tabique-guest: script ended with //p')
	[ -n "$guest_status" ] || fail "the guest's script did not end; exit status $status"
}

expect_status() {
	[ "$status" -eq "$1" ] || fail "exit status $status, not $1"
}

# expect TEXT [FILE]: FILE (console) must contain TEXT.
expect() {
	grep -aqF -e "$1" "${2:-console}" || fail "no '$1' in ${2:-console}"
}

# child PROGRAM: the process of that name below $vm.
child() {
	ps -o pid=,comm= --ppid "$vm" | awk -v name="$1" '$2 == name { print $1 }' | head -n 1
}

# wrong STATUS CAUSE WORD...: `tabique WORD...` must name CAUSE and end with STATUS, soon.
# What it wrote is in said and complaints: console and errors may be those of a VM that runs.
wrong() {
	want=$1
	cause=$2
	shift 2
	status=0
	timeout 20 "$tabique" "$@" >said 2>complaints </dev/null || status=$?
	expect_status "$want"
	expect "$cause" complaints
	[ ! -s said ] || fail "words on standard output"
}

# refuse STATUS CAUSE OPTION...: `tabique run` must say CAUSE in one sentence, then at least one
# "fix: ..." line, and end with STATUS at once.
refuse() {
	want=$1
	cause=$2
	shift 2
	status=0
	timeout 10 "$tabique" run "$@" >console 2>errors </dev/null || status=$?
	expect_status "$want"
	head -n 1 errors | grep -qF -e "$cause" || fail "the first line does not name the cause: '$cause'"
	[ "$(grep -vc '^fix: ' errors)" -eq 1 ] || fail "more than one line besides the cures"
	grep -q '^fix: .' errors || fail "no cure"
	[ ! -s console ] || fail "words on standard output"
}
