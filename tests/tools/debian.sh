#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the cases with a full Debian (guests/make-debian) are made of; they source it after
# case.sh. The guest is used as a person would: by what is typed at its serial console.
#
# debian_disk: a disk of the case's own, debian.vhdx in its folder.
# debian_start OPTION...: boot it, as start does.
# debian_login: from the login prompt to a shell that takes commands.
# debian_do <SCRIPT: run SCRIPT (under 3,000 bytes) in that shell; its output into the file
#	output without the kernel's lines, its exit status into $guest_status.
# debian_off: power off in that shell, and wait as finish does.
# debian_check: the disk is in order: our checker, QEMU's and e2fsck say so. Its raw content
#	stays in debian.raw.
# debian_file PATH: a file of that content, on standard output.
debian=$HERE/out/guests/debian
debian_done=0

debian_disk() {
	"$HERE/guests/make-debian" "$BUILD" 2>made ||
		skip "no Debian: $(grep -v '^make-debian: fix' made | tail -n 1)"
	cp --sparse=always "$debian/debian.vhdx" . 2>/dev/null || cp "$debian/debian.vhdx" .
}

debian_start() {
	start --kernel "$debian/vmlinuz" --initrd "$debian/initrd.img" \
		--append "root=LABEL=debian console=ttyS0 TERM=dumb ${append:-}" --memory 512M \
		--disk debian.vhdx "$@"
}

# Typed before getty reads is lost, so each answer waits for its question. After the login
# prompt a plain sh: no echo, prompt or line editing between what commands print.
debian_login() {
	wait_for "debian login:"
	echo root >&8
	wait_for "root@debian"
	echo 'stty -echo; PS1= PS2= exec sh' >&8
	echo 'echo "the shell"" takes commands"' >&8
	wait_for "the shell takes commands"
}

debian_do() {
	debian_done=$((debian_done + 1))
	{
		echo "cat >/run/script <<'end of script'"
		cat
		echo "end of script"
		echo "sh /run/script </dev/null >/run/output 2>&1; status=\$?"
		echo "echo; echo begin of script $debian_done; cat /run/output"
		echo "echo; echo status \$status of script $debian_done."
	} >&8
	wait_for " of script $debian_done."
	tr -d '\r\000' <console |
		sed -n "/^begin of script $debian_done\$/,/^status [0-9]* of script $debian_done\.\$/p" |
		grep -avE '^\[ *[0-9]+\.[0-9]+\]' >lines
	guest_status=$(sed -n "s/^status \([0-9]*\) of script .*/\1/p" lines)
	sed '1d;$d' lines | sed '${/^$/d;}' >output
	[ -n "$guest_status" ] || fail "what the script printed is garbled"
}

debian_off() {
	echo 'systemctl poweroff' >&8
	finish
}

debian_check() {
	"$tabique" disk check debian.vhdx >checked 2>&1 || fail "tabique disk check: $(cat checked)"
	qemu-img check -q debian.vhdx >checked 2>&1 || fail "qemu-img check: $(cat checked)"
	"$tabique" disk convert debian.vhdx debian.raw >checked 2>&1 || fail "$(cat checked)"
	/sbin/e2fsck -fn 'debian.raw?offset=1048576' >checked 2>&1 ||
		fail "e2fsck: $(tail -n 5 checked)"
}

debian_file() {
	/sbin/debugfs -R "cat $1" 'debian.raw?offset=1048576' 2>/dev/null
}
