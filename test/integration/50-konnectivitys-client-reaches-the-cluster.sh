#!/usr/bin/env bash
# Konnectivity's own client (sigs.k8s.io/apiserver-network-proxy/konnectivity-client) and kube-apiserver's egress selector with
# proxyProtocol GRPC, against the listeners that serve CONNECT: single-use tunnels and many connections on one stream, over the
# Unix socket and over TCP with mutual TLS. And curl's CONNECT on the same listener.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "Konnectivity's own client"

make_pki
FRONT=$(free_port)
NODE=$(free_address)
CLOSED=$(free_port)
{
    unix_listener
    cat <<YAML
  - name: mtls
    tcp: {address: 127.0.0.1, port: $FRONT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
routes:
  - name: tunnels
    match: {cidrs: [127.64.0.0/10], schemes: [tunnel]}
  - name: names
    match: {hosts: ['*.invalid'], ports: [443], schemes: [tunnel]}
limits: {tunnelsMax: 2000}
timeouts: {tunnelSpeakFirstMs: 100} # the client must have run since its DIAL_RSP, also on a busy machine
pool: {breaker: {failures: 1000}}
log: {auditFile: $WORK/audit.txt}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"

TRANSPORT_unix=(-unix "$UNIX")
TRANSPORT_mtls=(-address "127.0.0.1:$FRONT" -ca "$WORK/front-ca/ca.crt" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key")
FAILURES=(-fail "$NODE:$CLOSED=connection refused by the destination"
    -fail "no-such-node.invalid:443=destination name does not resolve"
    -fail "10.0.0.1:443=no route matches the destination"
    -fail "169.254.169.254:80=no route matches the destination"
    -fail "nonsense=the address has no port")
program() { # program SENTENCE COMMAND OPTION...
    local sentence=$1 log
    log=$WORK/$(tr -c 'a-z0-9\n' - <<<"${sentence,,}").log
    shift
    CHECKS=$((CHECKS + 1))
    if timeout 170 "$PROGRAM" "$@" >"$log" 2>"$log.libraries"; then
        echo "$sentence: $(grep -c '^ok' "$log") checks"
    else
        fail "$sentence: $(grep -aE '^(FAIL|konnectivity:|panic)' "$log" "$log.libraries" -h | head -c 4000)"
    fi
}

"$HAWSER_BUILD/hawser" egress-config --config "$WORK/hawser.yaml" --listener unix --protocol grpc >"$WORK/egress.yaml" ||
    die "hawser egress-config failed"
for transport in unix mtls; do
    declare -n options=TRANSPORT_$transport
    program "single-use tunnels over $transport" tunnels "${options[@]}" -destination "$NODE" "${FAILURES[@]}"
    program "one stream over $transport" stream "${options[@]}" -destination "$NODE"
done
program "the egress selector" selector -egress "$WORK/egress.yaml" -destination "$NODE" "${FAILURES[@]}"

equal "CONNECT is served on the same listener" 403 "$(curl -sS -m 20 -o /dev/null -w '%{http_connect}' -x "https://127.0.0.1:$FRONT" \
    --proxy-cacert "$WORK/front-ca/ca.crt" --proxy-cert "$WORK/apiserver.crt" --proxy-key "$WORK/apiserver.key" -p http://10.0.0.1:443/ 2>/dev/null)"
equal "no client breaks the protocol" 0 "$(metric hawser_front_http2_errors_total)"
check "tunnels are over" wait_for 20 metric_is hawser_tunnels_open 0
matches "the access log tells the protocol" 'event=access .*protocol=grpc method=CONNECT host=127\.' "$(grep -m1 'protocol=grpc' "$WORK/hawser.log")"
matches "a tunnel has its line in the audit" "kind=tunnel .*method=CONNECT host=127\..* protocol=grpc end=" "$(grep -m1 'kind=tunnel' "$WORK/audit.txt")"
matches "and so has what was refused" "kind=refused .*host=10.0.0.1 .*status=403 .*protocol=grpc end=no_route" "$(grep -m1 'host=10.0.0.1' "$WORK/audit.txt")"
hawser_stop
