#!/usr/bin/env bash
# SIGTERM while the original's agent carries a tunnel: it goes on, because the agent keeps its stream until the tunnel has ended;
# then the broker ends in peace.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "Konnectivity's own agents"
make_pki
ECHO=$(free_address 10255) AGENTS=$(free_port)

start echo python3 -c '
import socket, threading
s = socket.create_server(("'"$ECHO"'", 10255))
def serve(c):
    while data := c.recv(65536):
        c.sendall(data)
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()'
{
    unix_listener
    cat <<YAML
  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: $AGENTS}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
routes:
  - name: cluster
    match: {cidrs: [127.64.0.0/10], schemes: [tunnel, http]}
    via: [agent]
YAML
} | hawser_config "$WORK/hawser.yaml"
start hawser "$HAWSER_BUILD/hawser" serve --config "$WORK/hawser.yaml"
HAWSER=$PID
wait_for 20 listens 127.0.0.1 "$AGENTS" || die "the broker did not start"
start agent "$PROGRAM" proxy-agent --proxy-server-host=127.0.0.1 --proxy-server-port="$AGENTS" --ca-cert="$WORK/front-ca/ca.crt" \
    --agent-cert="$WORK/apiserver.crt" --agent-key="$WORK/apiserver.key" --health-server-port="$(free_port)" \
    --admin-server-port="$(free_port)" --sync-interval=100ms --v=2
wait_for 20 grep -q event=agent_connected "$WORK/hawser.log" || die "the agent did not connect"

cat >"$WORK/tunnel.py" <<'PY'
import os, signal, socket, sys, time
path, host, broker = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.settimeout(10)
s.sendall(f"CONNECT {host}:10255 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
head = b""
while b"\r\n\r\n" not in head:
    head += s.recv(1000)
print(head.split()[1].decode())
os.kill(broker, signal.SIGTERM)
for i in range(6):
    time.sleep(0.5)
    s.sendall(b"still here")
    got = s.recv(100)
    assert got == b"still here", got
print("it went on")
s.close()
PY
equal "a tunnel during the drain" "200 it went on" "$(python3 "$WORK/tunnel.py" "$UNIX" "$ECHO" "$HAWSER" 2>&1 | tr '\n' ' ' | sed 's/ $//')"
gone() { ! kill -0 "$HAWSER" 2>/dev/null; }
check "the broker ends within 10 s" wait_for 10 gone
wait "$HAWSER"
equal "its exit code" 0 $?
equal "why it parted from its agent" draining "$(sed -n 's/.*event=agent_lost.* reason=\([a-z_]*\).*/\1/p' "$WORK/hawser.log")"
no_sanitizer_spoke
