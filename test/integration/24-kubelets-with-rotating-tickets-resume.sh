#!/usr/bin/env bash
# A fleet of simulated kubelets whose ticket keys rotate every few handshakes, touched less often than connections are kept,
# as a scraper does: every touch dials, at least 99 % of the dials resume, by both sides' count. Names of nodes are verified.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
SIM=$HAWSER_BUILD/tools/kubelet-sim
NODES=10 ROUNDS=101
make_pki
PORT=$(free_port) # kubelet-sim takes a port on every address
BASE=$(free_address $PORT)
BASE=${BASE%.*}.10
STATUS=$(free_port)
start sim "$SIM" --base "$BASE" --port "$PORT" --count $NODES --ca "$WORK/kubelet-ca" --rotate-tickets-every 7 --ready-file "$WORK/ready" --threads 1 \
    --status "127.0.0.1:$STATUS"
usual_config "$WORK/hawser.yaml" <<YAML
pool: {idleTimeoutMs: 100}
YAML
sed -i "s/ports: \[10250\]/ports: [$PORT]/" "$WORK/hawser.yaml"
python3 - "$WORK/hawser.yaml" "$BASE" $NODES <<'PY'
import sys
path, base, nodes = sys.argv[1], sys.argv[2], int(sys.argv[3])
prefix, first = base.rsplit(".", 1)
names = "".join("      - {address: %s.%d, name: node-%05d}\n" % (prefix, int(first) + i, i + 1) for i in range(nodes))
text = open(path).read()
text = text.replace("    clientKeyFile:", "    verifyKubeletName: true\n    clientKeyFile:")
text = text.replace("    tlsProfile: kubelet\n", "    tlsProfile: kubelet\n    nodeNames:\n" + names)
open(path, "w").write(text)
PY
hawser_start "$WORK/hawser.yaml"
wait_for 20 test -e "$WORK/ready" || die "kubelet-sim did not become ready"
matches "a kubelet knows the broker" "egress-broker" "$(via "https://$BASE:$PORT/whoami")"

check "$NODES kubelets, $ROUNDS rounds" python3 - "$UNIX" "$BASE" $NODES $ROUNDS $PORT <<'PY'
import sys
import time
from client import Reader, connect
path, base, nodes, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
prefix, first = base.rsplit(".", 1)
r = Reader(connect(path))
bad = 0
for n in range(rounds):
    for i in range(nodes):
        authority = "%s.%d:%s" % (prefix, int(first) + i, sys.argv[5])
        r.sock.sendall(("GET https://%s/healthz HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority)).encode())
        status, _, body, _ = r.response()
        bad += (status, body) != (200, b"ok")
    time.sleep(0.15)
print("%d requests, %d not answered with ok" % (nodes * rounds, bad))
raise SystemExit(bad > 0)
PY
full=$(metric 'hawser_tls_handshakes_total{kind="full"}')
resumed=$(metric 'hawser_tls_handshakes_total{kind="resumed"}')
echo "by the broker's count $resumed resumed and $full full"
check "a thousand reconnects at least" [ $((full + resumed)) -ge 1000 ]
check "one full handshake for each kubelet, and few more ($full)" [ "$full" -le $((NODES + NODES)) ]
check "at least 99 % of the reconnects resumed" [ $((resumed * 100)) -ge $(((full + resumed - NODES) * 99)) ]
matches "the broker's own page agrees" "\"tlsResumed\": [0-9]+" "$(curl -sS "http://127.0.0.1:$ADMIN/statusz")"
status=$(curl -sS "http://127.0.0.1:$STATUS/status")
theirs=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["handshakes_resumed"])' <<<"$status")
equal "kubelet-sim counts the same" "$resumed" "$theirs"

# A node that restarts with other keys and another certificate: nobody notices but the count of full handshakes.
curl -sS -X POST "http://127.0.0.1:$STATUS/reboot?node=node-00001" >/dev/null
sleep 0.2
equal "after a reboot" ok "$(via "https://$BASE:$PORT/healthz")"
# The wrong name for an address is refused, also when a ticket is there.
curl -sS -X POST --data-binary "$BASE:wrong-node" "http://127.0.0.1:$STATUS/faults" >/dev/null
curl -sS -X POST "http://127.0.0.1:$STATUS/reboot?node=node-00001" >/dev/null
sleep 0.2
equal "another node's certificate" 502 "$(via "https://$BASE:$PORT/healthz" -o "$WORK/body" -w '%{http_code}')"
matches "is named" "system:node:" "$(cat "$WORK/body")"
hawser_stop
