#!/usr/bin/env bash
# The terminating mode for tunnels that share a connection: gRPC dials of Konnectivity's client, one to a connection and many on a
# stream, and CONNECT on streams of net/http's HTTP/2. TLS and HTTP inside by Go, to kubelets that see one set of pooled connections.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "Konnectivity's own client on a bridge"
SIM=$HAWSER_BUILD/tools/kubelet-sim
make_pki
"$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --quiet &&
    "$PKI" client --ca "$WORK/front-ca" --cn somebody-else --out "$WORK/stranger" --quiet || die "hawser-pki failed"
KUBELETS=$(free_port) # kubelet-sim takes a port on every address
BASE=$(free_address "$KUBELETS")
BASE=${BASE%.*}.10
WRONG=${BASE%.*}.11
STATUS=$(free_port)
FRONT=$(free_port)
start sim "$SIM" --base "$BASE" --port "$KUBELETS" --count 2 --ca "$WORK/kubelet-ca" --ready-file "$WORK/ready" --threads 1 \
    --status "127.0.0.1:$STATUS" --fault node-00002:wrong-ca
{
    unix_listener
    cat <<YAML
  - name: mtls
    tcp: {address: 127.0.0.1, port: $FRONT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
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
pool: {breaker: {failures: 1000}}
log: {auditFile: $WORK/audit}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 20 test -e "$WORK/ready" || die "kubelet-sim did not become ready"

ONE=(-cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" -bridge-ca "$WORK/bridge-ca/ca.crt" -kubelet "$BASE:$KUBELETS"
    -wrong "$WRONG:$KUBELETS" -stranger-cert "$WORK/stranger.crt" -stranger-key "$WORK/stranger.key")
bridge() { # bridge SENTENCE OPTION...
    local sentence=$1 log=$WORK/bridge-$CHECKS.log
    shift
    CHECKS=$((CHECKS + 1))
    if timeout 150 "$PROGRAM" bridge "${ONE[@]}" "$@" >"$log" 2>"$log.libraries"; then
        echo "$sentence: $(grep -c '^ok' "$log") checks"
    else
        fail "$sentence: $(grep -aE '^(FAIL|konnectivity:|panic)' "$log" "$log.libraries" -h | head -c 4000)"
    fi
}
handshakes() { curl -sS -m 5 "http://127.0.0.1:$STATUS/status" | jq .handshakes_full; }

bridge "over the Unix socket" -unix "$UNIX"
bridge "over mutual TLS" -address "127.0.0.1:$FRONT" -ca "$WORK/front-ca/ca.crt"
hit=$(metric 'hawser_pool_leases_total{result="hit"}')
dialled=$(metric 'hawser_pool_leases_total{result="dialled"}')
echo "leases: $hit reused, $dialled dialled; the kubelet saw $(handshakes) full handshakes"
check "all tunnels share the pool's connections" [ $((hit * 100)) -ge $(((hit + dialled) * 90)) ]

check "tunnels are over" wait_for 20 metric_is hawser_tunnels_open 0
check "and no request is left" wait_for 20 metric_is hawser_requests_in_flight 0
check "nor a connection, but the one that asks" wait_for 20 metric_is hawser_front_connections 1
equal "no client breaks the protocol" 0 "$(metric hawser_front_http2_errors_total)"
for protocol in grpc h2; do
    line=$(grep -m1 "event=access .*protocol=$protocol method=CONNECT .*port=$KUBELETS .*end=done" "$WORK/hawser.log")
    matches "the access log has the tunnel ($protocol)" "route=nodes status=200 bytes_in=[1-9].* bytes_out=[1-9].* connection=none" "$line"
    for inner in http/1.1 h2; do
        line=$(grep -m1 "event=access .*protocol=$inner tunnel=$protocol method=GET .*path=/whoami" "$WORK/hawser.log")
        matches "and a request of $inner inside" "client=kube-apiserver .*host=$BASE .*route=nodes status=200" "$line"
    done
    matches "a tunnel has its line in the audit ($protocol)" "TLS is ended by the broker" \
        "$(grep -m1 "kind=tunnel .*method=CONNECT host=$BASE .*protocol=$protocol end=done" "$WORK/audit")"
done
matches "who was not let in stands in the log" "client=somebody-else.*allowedNames" "$(grep -m1 client_refused "$WORK/hawser.log")"
matches "and ended its tunnel" "end=not_allowed" "$(grep -m1 "protocol=grpc method=CONNECT .*end=not_allowed" "$WORK/hawser.log")"

# Told to stop, it ends what is idle inside tunnels and lets the rest finish.
timeout 60 "$PROGRAM" bridge "${ONE[@]}" -unix "$UNIX" -drain >"$WORK/drain.log" 2>"$WORK/drain.log.libraries" &
DRAIN=$!
wait_for 20 grep -q ready "$WORK/drain.log" || die "the clients are not ready: $(cat "$WORK/drain.log")"
hawser_stop
check "what was being read is read: $(cat "$WORK/drain.log")" wait "$DRAIN"

# A client that has ended its direction keeps a kubelet's connection only as long as it takes what comes.
echo 'limits: {clientIdleTimeoutMs: 1000}' >>"$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
bridge "half-closed" -unix "$UNIX" -half-close
matches "it stands in the log" "end=slow_reader" "$(grep -m1 "event=access .*tunnel=h2 method=GET .*path=/bytes/67108864" "$WORK/hawser.log")"
hawser_stop
