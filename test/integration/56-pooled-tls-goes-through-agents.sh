#!/usr/bin/env bash
# A way through an agent is a way like any: requests that Hawser makes itself and tunnels that end in its bridge go over pooled,
# verified and resumed TLS through the module's own agent. A kubelet that can not prove itself is refused, and without an agent
# nothing goes another way.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "Konnectivity's own agent"
SIM=$HAWSER_BUILD/tools/kubelet-sim
NODES=4
make_pki
"$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --quiet &&
    "$PKI" client --ca "$WORK/front-ca" --cn konnectivity-agent --out "$WORK/agent" --quiet &&
    "$PKI" client --ca "$WORK/front-ca" --cn somebody-else --out "$WORK/stranger" --quiet || die "hawser-pki failed"
KUBELETS=$(free_port)
BASE=$(free_address "$KUBELETS")
BASE=${BASE%.*}.10
BRIDGED=${BASE%.*}.11
WRONG=${BASE%.*}.14
STATUS=$(free_port)
AGENTS=$(free_port)
PROXY=$(free_port)
HEALTH=$(free_port)
start sim "$SIM" --base "$BASE" --port "$KUBELETS" --count $((NODES + 1)) --ca "$WORK/kubelet-ca" --ready-file "$WORK/ready" --threads 1 \
    --status "127.0.0.1:$STATUS" --idle-timeout 1500ms --fault "$(printf 'node-%05d' $((NODES + 1))):wrong-ca"
{
    unix_listener
    cat <<YAML
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PROXY}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: $AGENTS}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [konnectivity-agent]}
YAML
    kubelet_profile
    cat <<YAML
routes:
  - name: kubelets
    match: {cidrs: [127.64.0.0/10], ports: [$KUBELETS], schemes: [https]}
    tlsProfile: kubelet
    via: [agent]
  - name: bridged
    match: {cidrs: [127.64.0.0/10], ports: [$KUBELETS], schemes: [tunnel]}
    tlsProfile: kubelet
    via: [agent]
    bridge:
      issuerCertificateFile: $WORK/bridge-ca/ca.crt
      issuerKeyFile: $WORK/bridge-ca/ca.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver]
pool: {breaker: {failures: 1000}, idleTimeoutMs: 1000}
YAML
} | hawser_config "$WORK/hawser.yaml"
is_ready() { curl -fsS -m 2 "http://127.0.0.1:$ADMIN/healthz" >/dev/null 2>&1; } # without an agent it never would be
hawser_start "$WORK/hawser.yaml"
readyz() { curl -sS -m 2 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$ADMIN/readyz"; }
wait_for 20 test -e "$WORK/ready" || die "kubelet-sim did not become ready"

forward() { # forward ADDRESS PATH [curl option...]
    local target=https://$1:$KUBELETS$2
    shift 2
    via "$target" "$@"
}
inside() { # inside ADDRESS PATH [curl option...]: CONNECT through the listener with mutual TLS, and TLS with the bridge in it
    local url=https://$1:$KUBELETS$2
    shift 2
    curl -sS -m 20 -x "https://127.0.0.1:$PROXY" --proxy-cacert "$WORK/front-ca/ca.crt" --proxy-cert "$WORK/apiserver.crt" \
        --proxy-key "$WORK/apiserver.key" --cacert "$WORK/bridge-ca/ca.crt" --cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key" \
        "$@" "$url"
}
counted() { curl -sS -m 5 "http://127.0.0.1:$STATUS/status" | tr -d ' \n' | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
dialled() { curl -sS -m 5 "http://127.0.0.1:$HEALTH/metrics" | awk '$1 == "konnectivity_network_proxy_agent_dial_duration_seconds_count" { n = $2 } END { print n + 0 }'; }

refute "without an agent it is ready" [ "$(readyz)" = 200 ]
matches "without an agent there is no way" '^(503|502|504)$' "$(forward "$BASE" /healthz -o /dev/null -w '%{http_code}')"
equal "and none was tried" 0 "$(counted connections)"

start agent "$PROGRAM" proxy-agent --ca-cert "$WORK/front-ca/ca.crt" --agent-cert "$WORK/agent.crt" --agent-key "$WORK/agent.key" \
    --proxy-server-host 127.0.0.1 --proxy-server-port "$AGENTS" --health-server-host 127.0.0.1 --health-server-port "$HEALTH" \
    --admin-server-port "$(free_port)" --sync-interval 100ms --v 0
AGENT=$PID
wait_for 20 curl -fsS -m 2 "http://127.0.0.1:$HEALTH/readyz" -o /dev/null || die "the agent is not ready"
equal "with an agent it is" 200 "$(readyz)"
check "a request goes through the agent" wait_for 5 forward "$BASE" /healthz -f -o /dev/null

# -- requests of Hawser's own
matches "the kubelet knows the broker" '"client_cn":"egress-broker"' "$(forward "$BASE" /whoami | tr -d ' \n')"
BEFORE=$(counted connections)
for _ in $(seq 50); do forward "$BASE" /healthz -o /dev/null; done
AFTER=$(counted connections)
check "50 requests share a connection or two, not $((AFTER - BEFORE))" [ $((AFTER - BEFORE)) -le 2 ]
check "every connection was the agent's, $(dialled) of $AFTER" [ "$(dialled)" -ge "$AFTER" ]
head -c 3000000 /dev/urandom >"$WORK/body"
equal "three megabytes there and back" "$(sha256sum <"$WORK/body")" "$(forward "$BASE" /echo --data-binary @"$WORK/body" | sha256sum)"
FULL=$(counted handshakes_full)
RESUMED=$(counted handshakes_resumed)
sleep 2 # longer than idle connections live
forward "$BASE" /healthz -o /dev/null
equal "a new connection needs no full handshake" "$FULL" "$(counted handshakes_full)"
check "it is resumed" [ "$(counted handshakes_resumed)" -gt "$RESUMED" ]
equal "who can not prove to be the kubelet is refused" 502 "$(forward "$WRONG" /healthz -o /dev/null -w '%{http_code}')"

# -- tunnels that end in the bridge
BEFORE=$(counted connections)
for _ in $(seq 20); do
    inside "$BRIDGED" /healthz -o /dev/null || fail "a request inside a tunnel fails"
done
AFTER=$(counted connections)
check "20 tunnels share a connection or two, not $((AFTER - BEFORE))" [ $((AFTER - BEFORE)) -le 2 ]
check "every connection was the agent's, $(dialled) of $AFTER" [ "$(dialled)" -ge "$AFTER" ]
matches "the kubelet knows the broker, not the client" '"client_cn":"egress-broker"' "$(inside "$BRIDGED" /whoami | tr -d ' \n')"
FULL=$(counted handshakes_full)
sleep 2
inside "$BRIDGED" /healthz -o /dev/null
equal "a new connection of the bridge needs no full handshake" "$FULL" "$(counted handshakes_full)"
equal "who can not prove to be the kubelet is refused here, too" 502 "$(inside "$WRONG" /healthz -o /dev/null -w '%{http_code}')"

# -- tunnels of every kind end in the bridge, and all of them go through the agent: dials of Konnectivity's own client, a gRPC connection
#    each and many on a stream, and CONNECT on streams of net/http's HTTP/2
DIALS=$(dialled)
BEFORE=$(counted connections)
CHECKS=$((CHECKS + 1))
if timeout 150 "$PROGRAM" bridge -unix "$UNIX" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" -bridge-ca "$WORK/bridge-ca/ca.crt" \
    -kubelet "$BRIDGED:$KUBELETS" -wrong "$WRONG:$KUBELETS" -stranger-cert "$WORK/stranger.crt" -stranger-key "$WORK/stranger.key" \
    >"$WORK/bridge.log" 2>"$WORK/bridge.log.libraries"; then
    echo "dials to a bridge, through the agent: $(grep -c '^ok' "$WORK/bridge.log") checks"
else
    fail "dials to a bridge: $(grep -haE '^(FAIL|konnectivity:|panic)' "$WORK/bridge.log" "$WORK/bridge.log.libraries" | head -c 4000)"
fi
for protocol in grpc h2; do
    matches "a dial to the bridge ($protocol)" "route=bridged status=200 .* end=done" \
        "$(grep -m1 "event=access .*protocol=$protocol method=CONNECT host=$BRIDGED .*end=done" "$WORK/hawser.log")"
    matches "and a request in it goes through the agent ($protocol)" "host=$BRIDGED .*route=bridged status=200" \
        "$(grep -m1 "event=access .*tunnel=$protocol method=GET .*path=/whoami" "$WORK/hawser.log")"
done
MADE=$(($(counted connections) - BEFORE))
check "the kubelets saw new connections" [ "$MADE" -gt 0 ]
check "each was the agent's, $(($(dialled) - DIALS)) of $MADE" [ $(($(dialled) - DIALS)) -ge "$MADE" ]

# -- the agent ends: what it carried fails, and nothing takes another way
stop "$AGENT" KILL
matches "without the agent there is no way any more" '^(503|502|504)$' "$(forward "$BASE" /healthz -o /dev/null -w '%{http_code}')"
equal "and none was tried" "$(counted connections)" "$(sleep 1; counted connections)"
hawser_stop
