#!/usr/bin/env bash
# Kubelets that are not who they should be, that speak nonsense, that die at the worst moment or never answer: the right
# status, a text that says what was found, the right end in the access log, nothing repeated that may not be, nothing left.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
"$PKI" ca --out "$WORK/other-ca" --name kubelet-ca --quiet

declare -A AT
tls_backend() { # tls_backend NAME: a backend with $WORK/NAME.crt at ${AT[NAME]}
    start "$1" python3 "$PEERS/backend.py" "${AT[$1]}" 10250 "$WORK/$1.ledger" --tls "$WORK/$1.crt" "$WORK/$1.key" "$WORK/kubelet-ca/ca.crt"
}
for name in good wrongca sameca expired future wrongip selfsigned wrongnode wrongorg nosan clientonly garbage truncated plainhttp blackhole closing nothing; do
    AT[$name]=$(free_address 10250)
done
PLAIN=$(free_address 10255)
kubelet_certificate good "${AT[good]}"
"$PKI" kubelet --ca "$WORK/rogue-ca" --node wrongca --ip "${AT[wrongca]}" --out "$WORK/wrongca" --quiet
"$PKI" kubelet --ca "$WORK/other-ca" --node sameca --ip "${AT[sameca]}" --out "$WORK/sameca" --quiet
kubelet_certificate expired "${AT[expired]}" --expired
kubelet_certificate future "${AT[future]}" --not-before @4102444800 --not-after @4133980800
kubelet_certificate wrongip 127.1.1.1
"$PKI" server --cn system:node:selfsigned --ip "${AT[selfsigned]}" --self-signed --out "$WORK/selfsigned" --quiet
kubelet_certificate wrongnode "${AT[wrongnode]}"
"$PKI" server --ca "$WORK/kubelet-ca" --cn system:node:wrongorg --ip "${AT[wrongorg]}" --out "$WORK/wrongorg" --quiet
kubelet_certificate nosan "${AT[nosan]}" --no-san
kubelet_certificate clientonly "${AT[clientonly]}" --eku client
for name in good wrongca sameca expired future wrongip selfsigned wrongnode wrongorg nosan clientonly; do tls_backend $name; done
start plain python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/plain.ledger"
for kind in garbage truncated plainhttp blackhole closing; do
    start "$kind" python3 "$PEERS/no_tls.py" "${AT[$kind]}" 10250 "$kind"
done

usual_config "$WORK/hawser.yaml" <<YAML
pool:
  breaker: {failures: 1000, backoffMinMs: 10, backoffMaxMs: 20}
limits: {responseHeadBytesMax: 65536}
timeouts: {tlsMs: 1500, connectMs: 1500, dialMs: 4000}
YAML
python3 - "$WORK/hawser.yaml" "${AT[wrongnode]}" "${AT[good]}" "${AT[wrongorg]}" <<'PY'
import sys
path, wrong, good, org = sys.argv[1:]
text = open(path).read()
text = text.replace("    clientKeyFile:", "    verifyKubeletName: true\n    clientKeyFile:")
text = text.replace("    tlsProfile: kubelet\n", "    tlsProfile: kubelet\n    nodeNames:\n"
                    "      - {address: %s, name: the-right-node}\n      - {address: %s, name: good}\n      - {address: %s, name: wrongorg}\n"
                    "    timeouts: {firstByteMs: 1500}\n" % (wrong, good, org))
text = text.replace("schemes: [http]}", "schemes: [http]}\n    timeouts: {firstByteMs: 1500}")
open(path, "w").write(text)
PY
hawser_start "$WORK/hawser.yaml"
for name in good wrongca sameca expired future wrongip selfsigned wrongnode wrongorg nosan clientonly; do
    wait_for 10 listens "${AT[$name]}" 10250 || die "$name did not start"
done
wait_for 10 listens "$PLAIN" 10255 || die "the plain backend did not start"
for kind in garbage truncated plainhttp blackhole closing; do wait_for 10 listens "${AT[$kind]}" 10250 || die "$kind did not start"; done
equal "an honest kubelet" ok "$(via "https://${AT[good]}:10250/ok")"

# lies NAME STATUS END TEXT: what the client is told, and what the log says
lies() {
    local before body status
    before=$(ended "$3")
    body=$(via "https://${AT[$1]}:10250/pods" -w '\n%{http_code}')
    status=${body##*$'\n'}
    equal "$1: status" "$2" "$status"
    matches "$1: the text says what was found" "$4" "$body"
    equal "$1: counted as $3" $((before + 1)) "$(ended "$3")"
    matches "$1: in the access log" "event=access .*host=${AT[$1]} .*status=$2 .*end=$3" "$(grep -a "host=${AT[$1]}" "$WORK/hawser.log" | tail -1)"
    if [ -e "$WORK/$1.ledger" ]; then
        lacks "$1: no request byte reached it" '"arriving"|"head"' "$(cat "$WORK/$1.ledger")"
    fi
}
lies wrongca 502 tls_untrusted "not signed by a trusted CA"
lies sameca 502 tls_untrusted "not signed by a trusted CA"
lies expired 502 tls_expired "expired or not yet valid"
lies future 502 tls_expired "expired or not yet valid"
lies wrongip 502 tls_name_mismatch "does not name the destination.*127.1.1.1"
lies selfsigned 502 tls_untrusted "not signed by a trusted CA"
lies wrongnode 502 tls_name_mismatch "system:node:wrongnode"
lies wrongorg 502 tls_name_mismatch "system:nodes"
lies nosan 502 tls_name_mismatch "does not name the destination"
lies clientonly 502 tls_untrusted ""
lies garbage 502 tls_protocol "TLS protocol error"
lies truncated 502 "truncated" ""
lies plainhttp 502 tls_protocol "TLS protocol error"
lies closing 502 "truncated" ""
lies blackhole 504 tls_timeout "TLS handshake timed out"
lies nothing 502 refused "connection refused"
equal "the honest one goes on" ok "$(via "https://${AT[good]}:10250/ok")"

# Deaths and nonsense after the handshake and without TLS: python drives, the ledgers of the backends count.
for base in "https://${AT[good]}:10250 $WORK/good.ledger" "http://$PLAIN:10255 $WORK/plain.ledger"; do
    read -r url ledger <<<"$base"
    check "deaths behind ${url%%:*}" python3 "$HERE/dying_kubelets.py" "$UNIX" "$url" "$ledger" "$WORK/hawser.log" "$ADMIN"
done
check "no client is left" wait_for 5 metric_is hawser_front_connections 1
equal "no request is left" 0 "$(metric hawser_requests_in_flight)"
equal "no connection is lent" 0 "$(metric 'hawser_pool_connections{state="leased"}')"
equal "no waiter is left" 0 "$(metric hawser_pool_waiters)"
hawser_stop
