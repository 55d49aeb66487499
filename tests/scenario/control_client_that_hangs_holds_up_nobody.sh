#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Forty clients that stop in the middle of a request, that do not read, that send nonsense; and a
# worker that does not answer.
. "$HERE/tests/tools/case.sh"
command -v python3 >/dev/null || skip "no python3 to play bad clients"
start --kernel "$kernels/spin.elf" --control ctl --timeout 60
until [ -S ctl ]; do
	sleep 0.05
done
cat >clients.py <<'END'
import socket, sys

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect("ctl")
    return s

half = []
for i in range(40):
    s = connect()
    s.sendall(b"POST /1.0/vms/self/disks HTTP/1.1\r\nContent-Length: 10000\r\n\r\n{")
    half.append(s)

def ask(bytes):
    s = connect()
    s.sendall(bytes)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            break
        got += piece
    return got.split(b"\r\n")[0].decode()

for request, want in [
    (b"GET /1.0/vms/self HTTP/1.1\r\n\r\n", "200"),
    (b"nonsense\r\n\r\n", "400"),
    (b"GET /1.0/vms/self HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
    (b"GET /1.0/vms/self HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", "413"),
    (b"PUT /1.0/vms/self/state HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "501"),
    (b"PUT /1.0/vms/self/state HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", "400"),
    (b"PUT /1.0/vms/self/state HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"a\": 1}}", "400"),
    (b"PUT /1.0/vms/self/state HTTP/1.1\r\nContent-Length: 20\r\n\r\n{\"action\": \"explode\"}"[:-1] + b"}", "400"),
    (b"PUT /1.0/vms/self/state HTTP/1.1\r\n\r\n", "400"),
    (b"DELETE /1.0/vms/self/disks/scsi0 HTTP/1.1\r\n\r\n", "404"),
    (b"DELETE /1.0 HTTP/1.1\r\n\r\n", "404"),
    (b"GET /%00 HTTP/1.1\r\n\r\n", "400"),
    (b"GET /1.0/vms/%73elf HTTP/1.1\r\n\r\n", "200"),
]:
    line = ask(request)
    if not line.startswith("HTTP/1.1 " + want):
        sys.exit("%r: %s, not %s" % (request[:60], line, want))
print("fine")
sys.stdout.flush()
sys.stdin.read()
END
mkfifo hold
python3 clients.py <hold >clients.out 2>&1 &
clients=$!
exec 7>hold
until grep -q . clients.out; do
	sleep 0.05
done
expect fine clients.out
timeout 10 "$tabique" vm show --control ctl >shown || fail "show beside clients that hang"
# A worker that stands: inspect tells what the other side says, after a while.
worker=$(child tabique-worker)
kill -STOP "$worker"
timeout 20 "$tabique" vm inspect --control ctl >shown || fail "inspect"
kill -CONT "$worker"
expect "worker: does not answer" shown
expect "hv.vm.state: " shown
until timeout 20 "$tabique" vm inspect --control ctl worker/vm/kernel >shown 2>/dev/null; do
	sleep 0.1
done
expect "worker.vm.kernel: multiboot" shown
exec 7>&-
wait "$clients"
"$tabique" vm stop --control ctl --force || fail "stop"
finish
expect_status 0
