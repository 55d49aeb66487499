#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. "$HERE/tests/tools/case.sh"
cp "$kernels/hello.elf" secret
chmod 000 secret
[ "$(id -u)" -ne 0 ] || {
	# Root reads everything: become somebody who does not.
	chmod 755 "$DIR"
	command -v setpriv >/dev/null || skip "no setpriv to become somebody else with"
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$tabique" ||
		skip "the build folder is closed to other users"
	cat >as-nobody <<EOF
#!/bin/sh
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$tabique" "\$@"
EOF
	chmod 755 as-nobody
	tabique=$DIR/as-nobody
}
refuse 1 "kernel 'secret'" --kernel secret --memory 64M --cpus 1
