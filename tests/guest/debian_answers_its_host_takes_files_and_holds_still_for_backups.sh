#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limit: 300
# A whole Debian 12 with its hyperv-daemons: keys, a file, frozen file systems, and a stop.
. "$HERE/tests/tools/case.sh"
. "$HERE/tests/tools/debian.sh"

live() {
	"$tabique" "$@" --control ctl >said 2>complaints || fail "$*: $(cat complaints)"
}
key() {
	live vm kvp get "$1"
	[ "$(cat said)" = "$2" ] || fail "$1 is '$(cat said)', not '$2'"
}
debian_disk
debian_start --control ctl
debian_login
debian_do <<'END'
systemctl is-system-running --wait >/dev/null
systemctl is-active hv-kvp-daemon hv-vss-daemon hv-fcopy-daemon
END
[ "$(sort output | uniq -c | tr -d ' ')" = 3active ] || fail "not all daemons run: $(cat output)"

# Keys.
before=$(date +%s)
key FullyQualifiedDomainName debian
[ $(($(date +%s) - before)) -lt 10 ] || fail "its name took ten seconds"
key OSName "Debian GNU/Linux"
key ProcessorArchitecture x86_64
live vm kvp set "greeting=¡hola, vecino!"
key greeting "¡hola, vecino!"
# One record: 512 bytes of key, 2,048 of value; behind each text stands what the daemon had there before.
debian_do <<'END'
head -c 512 /var/lib/hyperv/.kvp_pool_0 | tr '\0' '\n' | head -n 1
tail -c 2048 /var/lib/hyperv/.kvp_pool_0 | tr '\0' '\n' | head -n 1
END
printf 'greeting\n¡hola, vecino!\n' | cmp - output || fail "the guest has read something else"
live vm kvp delete greeting
wrong 3 "no key 'greeting'" vm kvp get greeting --control ctl

# A file.
head -c 3000000 /dev/urandom >file
live vm copy file /srv/new/folder/
debian_do <<'END'
md5sum </srv/new/folder/file
END
md5sum <file | cmp - output || fail "not the file that was copied"
wrong 4 "has a file of that name" vm copy "$tabique" /srv/new/folder/file --control ctl
head -c 1000 /dev/urandom >file
live vm copy --force file /srv/new/folder/file
debian_do <<'END'
head -c 1000 /srv/new/folder/file | md5sum
END
md5sum <file | cmp - output || fail "not what was copied over it"

# Frozen, a write waits for the thaw.
live vm freeze
debian_do <<'END'
(echo written >/root/written && cut -d. -f1 /proc/uptime >/run/when) &
sleep 1
[ -e /run/when ] || echo waits
END
expect waits output
wrong 4 "frozen already" vm freeze --control ctl
live vm thaw
debian_do <<'END'
until [ -e /run/when ]; do sleep 0.1; done
cat /root/written
rm /run/when
END
expect written output
# Nobody thaws it: it does so ten seconds later.
debian_do <<'END'
cut -d. -f1 /proc/uptime >/run/before
END
live vm freeze
debian_do <<'END'
touch /root/again
echo after $(($(cut -d. -f1 /proc/uptime) - $(cat /run/before))) s
END
after=$(sed -n 's/^after \([0-9]*\) s$/\1/p' output)
[ "$after" -ge 5 ] || fail "it was not frozen: the write took $after s"
[ "$after" -le 11 ] || fail "it was frozen for $after s"
wrong 4 "are not frozen any more" vm thaw --control ctl

live vm stop timeout=15
finish
expect_status 0
debian_check
debian_file /root/written | grep -q written || fail "not what the guest wrote"
