#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cases about the daemon are made of: a launcher and a daemon with folders of their own below $DIR. Sourced
# behind case.sh. Where it is not root, both run as who runs the test, as do the VMs.
run_folder=$DIR/run
state_folder=$DIR/state
export TABIQUE_HOST="$run_folder/api"

# The daemon is another user, and has to get here.
chmod 711 "$DIR" "$(dirname "$DIR")"

# start_launcher, start_daemon: in the background, and wait until they say that they are ready.
start_launcher() {
	[ -e allow ] || printf 'folder %s\nfolder %s\n' "$BUILD" "$DIR" >allow
	chmod 644 allow
	"$BUILD/bin/tabique-launcher" --run "$run_folder" --allow "$DIR/allow" 2>launcher.log &
	launcher=$!
	until_ready $launcher launcher.log
}

start_daemon() {
	"$BUILD/bin/tabiqued" --run "$run_folder" --state "$state_folder" 2>daemon.log &
	daemon=$!
	until_ready $daemon daemon.log
}

# until_ready PID LOG
until_ready() {
	until grep -q ': info: ready' "$2"; do
		kill -0 "$1" 2>/dev/null || fail "it ended: $(cat "$2")"
		sleep 0.05
	done
}

# end_host: VMs pulled, daemon and launcher ended.
end_host() {
	"$tabique" vm list -o json | sed -n 's/^ *"name": "\(.*\)",$/\1/p' | while read -r name; do
		"$tabique" vm stop "$name" --force 2>/dev/null
	done
	kill "$daemon" "$launcher" 2>/dev/null
	wait "$daemon" "$launcher" 2>/dev/null
}

# state_of VM: as the list has it.
state_of() {
	"$tabique" vm list | awk -v name="$1" '$1 == name { print $2 }'
}

# until_state VM STATE
until_state() {
	until [ "$(state_of "$1")" = "$2" ]; do
		kill -0 "$daemon" 2>/dev/null || fail "the daemon ended: $(cat daemon.log)"
		sleep 0.05
	done
}
