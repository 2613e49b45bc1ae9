#!/usr/bin/env bash
# The terminating mode, with clients that know nothing of it: they CONNECT and speak TLS inside. Two of them alternate on
# connections of their own, and the kubelets see one set of connections, handshaken once; a kubelet that cannot prove
# itself is refused although the client would have taken it; who may come in is asked inside the tunnel again.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
SIM=$HAWSER_BUILD/tools/kubelet-sim
NODES=10 ROUNDS=60
make_pki
"$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --quiet || die "hawser-pki failed"
"$PKI" client --ca "$WORK/front-ca" --cn somebody-else --out "$WORK/stranger" --quiet || die "hawser-pki failed"
KUBELETS=$(free_port) # kubelet-sim takes a port on every address
BASE=$(free_address "$KUBELETS")
BASE=${BASE%.*}.10
STATUS=$(free_port)
PROXY=$(free_port)
start sim "$SIM" --base "$BASE" --port "$KUBELETS" --count $((NODES + 1)) --ca "$WORK/kubelet-ca" --ready-file "$WORK/ready" --threads 1 \
    --status "127.0.0.1:$STATUS" --fault "$(printf 'node-%05d' $((NODES + 1))):wrong-ca"
{
    cat <<YAML
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PROXY}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver, somebody-else]}
YAML
    kubelet_profile
    cat <<YAML
routes:
  - name: nodes
    match: {cidrs: [127.64.0.0/10], ports: [$KUBELETS], schemes: [tunnel]}
    tlsProfile: kubelet
    bridge:
      issuerCertificateFile: $WORK/bridge-ca/ca.crt
      issuerKeyFile: $WORK/bridge-ca/ca.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver]
log: {auditFile: $WORK/audit}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 20 test -e "$WORK/ready" || die "kubelet-sim did not become ready"

inside() { # inside URL [curl option...]: through the TCP listener with mutual TLS, and TLS again inside
    local url=$1
    shift
    curl -sS -m 20 -x "https://127.0.0.1:$PROXY" --proxy-cacert "$WORK/front-ca/ca.crt" --proxy-cert "$WORK/apiserver.crt" \
        --proxy-key "$WORK/apiserver.key" --cacert "$WORK/bridge-ca/ca.crt" --cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key" \
        "$@" "$url"
}
N1=https://$BASE:$KUBELETS

matches "the kubelet knows the broker, not the client" '"client_cn":"egress-broker"' "$(inside "$N1/whoami" | tr -d ' \n')"
equal "HTTP/1.1 inside" "200 1.1" "$(inside "$N1/healthz" --http1.1 -o /dev/null -w '%{http_code} %{http_version}')"
equal "HTTP/2 inside" "200 2" "$(inside "$N1/healthz" --http2 -o /dev/null -w '%{http_code} %{http_version}')"
equal "Host does not lead astray" 200 "$(inside "$N1/healthz" -H 'Host: 192.0.2.1:1' -o /dev/null -w '%{http_code}')"
head -c 3000000 /dev/urandom >"$WORK/body"
equal "three megabytes there and back" "$(sha256sum <"$WORK/body")" "$(inside "$N1/echo" --data-binary @"$WORK/body" | sha256sum)"
equal "and over HTTP/2" "$(sha256sum <"$WORK/body")" "$(inside "$N1/echo" --http2 --data-binary @"$WORK/body" | sha256sum)"
refute "a client that does not trust the bridge's CA turns away" inside "$N1/healthz" --cacert "$WORK/kubelet-ca/ca.crt" -o /dev/null 2>"$WORK/untrusting.log"
refute "another certificate is not let in" inside "$N1/healthz" --cert "$WORK/stranger.crt" --key "$WORK/stranger.key" -o /dev/null 2>"$WORK/stranger.log"
matches "which the log says" "client=somebody-else.*allowedNames" "$(grep client_refused "$WORK/hawser.log")"
refute "nor none" curl -sS -m 20 -x "https://127.0.0.1:$PROXY" --proxy-cacert "$WORK/front-ca/ca.crt" --proxy-cert "$WORK/apiserver.crt" \
    --proxy-key "$WORK/apiserver.key" --cacert "$WORK/bridge-ca/ca.crt" -o /dev/null "$N1/healthz" 2>"$WORK/nobody.log"

wrong=${BASE%.*}.$((10 + NODES))
equal "a kubelet of a wrong CA, though the client would take anything" 502 "$(inside "https://$wrong:$KUBELETS/healthz" -k -o "$WORK/refused" -w '%{http_code}')"
matches "and says why" "not signed by a trusted CA" "$(cat "$WORK/refused")"
handshakes() { curl -sS "http://127.0.0.1:$STATUS/status" | jq "$1"; }

# Two clients, each with connections of its own to every kubelet, by turns; and then each with new ones.
check "two clients, $NODES kubelets, $ROUNDS rounds" python3 - "$UNIX" "$BASE" $NODES $ROUNDS "$KUBELETS" "$WORK" <<'PY'
import socket
import ssl
import sys
from client import Reader
path, base, nodes, rounds, port, work = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6]
prefix, first = base.rsplit(".", 1)
context = ssl.create_default_context(cafile=work + "/bridge-ca/ca.crt")
context.load_cert_chain(work + "/apiserver.crt", work + "/apiserver.key")


def tunnel(host):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(("CONNECT %s:%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (host, port)).encode())
    answer = s.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\n"):
        raise SystemExit("CONNECT: %r" % answer)
    return Reader(context.wrap_socket(s, server_hostname=host))


bad = requests = 0
clients = [{}, {}]
for n in range(rounds):
    for i in range(nodes):
        host = "%s.%d" % (prefix, int(first) + i)
        for mine in clients:
            if n % 20 == 0 and host in mine:
                mine.pop(host).sock.close()
            if host not in mine:
                mine[host] = tunnel(host)
            r = mine[host]
            r.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: kube-apiserver\r\n\r\n")
            status, _, body, _ = r.response()
            requests += 1
            bad += (status, body) != (200, b"ok")
print("%d requests, %d not answered with ok" % (requests, bad))
raise SystemExit(bad > 0)
PY
hit=$(metric 'hawser_pool_leases_total{result="hit"}')
dialled=$(metric 'hawser_pool_leases_total{result="dialled"}')
echo "leases: $hit reused, $dialled dialled; kubelets saw $(handshakes .handshakes_full) full handshakes, $(handshakes .handshakes_resumed) resumed"
check "99 % of the requests at least found a connection" [ $((hit * 100)) -ge $(((hit + dialled) * 99)) ]
before=$(handshakes .handshakes_full)
inside "$N1/healthz" -o /dev/null
equal "no full handshake with a kubelet that is known" "$before" "$(handshakes .handshakes_full)"
check "one full handshake for each kubelet" [ "$before" -le $((NODES + 2)) ]

# Upgrades inside the bridge: only a 101 makes a tunnel, on a connection of its own.
check "an upgrade inside, byte-exact" python3 - "$UNIX" "$BASE" "$KUBELETS" "$WORK" <<'PY'
import os
import socket
import ssl
import sys
import threading
path, host, port, work = sys.argv[1:5]
context = ssl.create_default_context(cafile=work + "/bridge-ca/ca.crt")
context.load_cert_chain(work + "/apiserver.crt", work + "/apiserver.key")
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
s.sendall(("CONNECT %s:%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (host, port)).encode())
s.recv(4096)
s = context.wrap_socket(s, server_hostname=host)
s.sendall(b"POST /exec/default/web/app?command=cat&input=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
          b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\nContent-Length: 0\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head:
    head += s.recv(4096)
head, _, rest = head.partition(b"\r\n\r\n")
assert head.startswith(b"HTTP/1.1 101 "), head
assert b"Upgrade: SPDY/3.1" in head and b"Connection: Upgrade" in head, head
data = os.urandom(2 << 20)
threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
while len(rest) < len(data):
    piece = s.recv(65536)
    assert piece, "ended after %d bytes" % len(rest)
    rest += piece
assert rest == data
PY
matches "audit lines of tunnels that end here" "kind=tunnel .*method=CONNECT .*route=nodes .*TLS is ended by the broker" "$(cat "$WORK/audit")"
matches "of upgrades" "kind=upgrade .*path=/exec/default/web/app .*status=101" "$(cat "$WORK/audit")"
lacks "no query strings there" "command=cat" "$(cat "$WORK/audit" "$WORK/hawser.log")"
hawser_stop
