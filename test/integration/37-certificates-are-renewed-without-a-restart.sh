#!/usr/bin/env bash
# Every kind of file changes below a running broker, which notices by itself: the listener's certificate and client CA in a
# volume laid out as Kubernetes lays out a Secret, the CA of kubelets, the certificate towards them, a bearer token, names of
# nodes, a bridge's issuer. What is under way goes on, what begins uses the new ones, and what is broken changes nothing but the log.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
SIM=$HAWSER_BUILD/tools/kubelet-sim
make_pki
"$PKI" ca --out "$WORK/kubelet-ca-2" --name kubelet-ca-2 --quiet || die "hawser-pki failed"
"$PKI" ca --out "$WORK/front-ca-2" --name front-ca-2 --quiet || die "hawser-pki failed"
"$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --quiet || die "hawser-pki failed"
"$PKI" ca --out "$WORK/bridge-ca-2" --name bridge-ca-2 --quiet || die "hawser-pki failed"
"$PKI" client --ca "$WORK/front-ca-2" --cn kube-apiserver --out "$WORK/apiserver-2" --quiet || die "hawser-pki failed"
PROXY=$(free_port)
AGENTS=$(free_port)
is_ready() { curl -fsS -m 2 "http://127.0.0.1:$ADMIN/healthz" >/dev/null 2>&1; } # without agents it never is, but it serves
BASE=127.$((64 + RANDOM % 64)).$((RANDOM % 256))
OLD=$BASE.20:$(free_port) NEW=$BASE.40:$(free_port) TOKEN=$BASE.60:$(free_port) # kubelet-sim takes a port on every address
first_token=first-$RANDOM second_token=second-$RANDOM
printf '%s\n' $first_token $second_token >"$WORK/tokens"
install -m 600 /dev/stdin "$WORK/token" <<<$first_token
echo "${TOKEN%:*} node-00001" >"$WORK/nodes"
start old "$SIM" --base "${OLD%:*}" --port "${OLD#*:}" --count 1 --ca "$WORK/kubelet-ca" --threads 1 --ready-file "$WORK/ready-old"
start new "$SIM" --base "${NEW%:*}" --port "${NEW#*:}" --count 1 --ca "$WORK/kubelet-ca-2" --client-ca "$WORK/kubelet-ca/ca.crt" --threads 1 --ready-file "$WORK/ready-new"
start tokens "$SIM" --base "${TOKEN%:*}" --port "${TOKEN#*:}" --count 1 --ca "$WORK/kubelet-ca" --token-file "$WORK/tokens" --threads 1 --ready-file "$WORK/ready-tokens"

# A volume as the kubelet makes it: names lead through ..data, and one rename changes them all.
version() { # version N SERVER CLIENT_CA: the next contents of the volume
    mkdir -p "$WORK/volume/..v$1"
    install -m 600 "$WORK/$2.crt" "$WORK/volume/..v$1/tls.crt"
    install -m 600 "$WORK/$2.key" "$WORK/volume/..v$1/tls.key"
    install -m 600 "$WORK/$3/ca.crt" "$WORK/volume/..v$1/ca.crt"
    ln -s "..v$1" "$WORK/volume/..data_tmp"
    mv -T "$WORK/volume/..data_tmp" "$WORK/volume/..data"
}
version 1 front front-ca
cp "$WORK/front.crt" "$WORK/agents.crt"
cp "$WORK/front.key" "$WORK/agents.key"
for name in tls.crt tls.key ca.crt; do ln -s "..data/$name" "$WORK/volume/$name"; done
mkdir "$WORK/up"
cp "$WORK/kubelet-ca/ca.crt" "$WORK/up/ca.crt"
cp "$WORK/egress.crt" "$WORK/egress.key" "$WORK/up/"
cp -r "$WORK/bridge-ca" "$WORK/issuer"
{
    cat <<YAML
reloadMs: 200
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PROXY}
    tls: {certificateFile: $WORK/volume/tls.crt, keyFile: $WORK/volume/tls.key, clientCaFile: $WORK/volume/ca.crt, allowedNames: [kube-apiserver]}
  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: $AGENTS}
    tls: {certificateFile: $WORK/agents.crt, keyFile: $WORK/agents.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
tlsProfiles:
  - name: kubelet
    caFile: $WORK/up/ca.crt
    clientCertificateFile: $WORK/up/egress.crt
    clientKeyFile: $WORK/up/egress.key
  - name: token
    caFile: $WORK/kubelet-ca/ca.crt
    bearerTokenFile: $WORK/token
    verifyKubeletName: true
routes:
  - name: tokens
    match: {cidrs: [${TOKEN%:*}/32], ports: [${TOKEN#*:}], schemes: [https]}
    tlsProfile: token
    nodeNameFile: $WORK/nodes
  - name: nodes
    match: {cidrs: [127.64.0.0/10], ports: [${OLD#*:}, ${NEW#*:}], schemes: [https]}
    tlsProfile: kubelet
  - name: bridge
    match: {cidrs: [127.64.0.0/10], ports: [${OLD#*:}, ${NEW#*:}], schemes: [tunnel]}
    tlsProfile: kubelet
    bridge:
      issuerCertificateFile: $WORK/issuer/ca.crt
      issuerKeyFile: $WORK/issuer/ca.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver]
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
for which in old new tokens; do wait_for 20 test -e "$WORK/ready-$which" || die "kubelet-sim ($which) did not become ready"; done

lines() { grep -acE -- "$1" "$WORK/hawser.log"; } # lines PATTERN: how many of the log have it
said() { [ "$(lines "$1")" -ge "${2:-1}" ]; }
reloads() { metric "hawser_reloads_total{result=\"$1\"}"; }
renewed() { # renewed SENTENCE PATTERN [COUNT]: that line comes
    check "$1" wait_for 15 said "event=reloaded .*$2" "${3:-1}"
    equal "$1: nothing is refused" 0 "$(metric hawser_reloads_refused)"
}
serial() { openssl x509 -noout -serial -in "$1"; }
shown() { # shown [CLIENT] [PORT]: serial of the certificate that the listener shows
    openssl s_client -alpn h2 -connect "127.0.0.1:${2:-$PROXY}" -cert "$WORK/${1:-apiserver}.crt" -key "$WORK/${1:-apiserver}.key" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
as() { # as CLIENT TARGET [curl option...]: through mutual TLS with that certificate
    local client=$1 target=$2 authority=${2#*://}
    shift 2
    curl --http1.1 -sS -m 20 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/$client.crt" --key "$WORK/$client.key" \
        --request-target "$target" -H "Host: ${authority%%/*}" "$@" "https://127.0.0.1:$PROXY/"
}

# A connection that will live through all of it, by openssl.
mkfifo "$WORK/ask"
exec 7<>"$WORK/ask"
start kept bash -c 'exec "$@" <"$0"' "$WORK/ask" openssl s_client -quiet -ign_eof -connect "127.0.0.1:$PROXY" -CAfile "$WORK/front-ca/ca.crt" -verify_return_error \
    -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" -sess_out "$WORK/session"
answers=0
kept_answers() { # kept_answers ADDRESS: one more request on it, to that kubelet
    answers=$((answers + 1))
    printf 'GET https://%s/healthz HTTP/1.1\r\nHost: %s\r\n\r\n' "$1" "$1" >&7
    wait_for 10 kept_has $answers
}
kept_has() { [ "$(grep -ao "HTTP/1.1 200" "$WORK/kept.log" | wc -l)" -eq "$1" ]; }
check "the connection that is kept" kept_answers "$OLD"

echo "--- the listener's certificate, by one rename"
until_before=$(metric 'hawser_certificate_not_after_seconds{listener="mtls",file="certificateFile"}')
equal "the listener shows its certificate" "$(serial "$WORK/front.crt")" "$(shown)"
equal "and its date is known" "$(date +%s -d "$(openssl x509 -noout -enddate -in "$WORK/front.crt" | cut -d= -f2)")" "$until_before"
"$PKI" server --ca "$WORK/front-ca" --cn hawser --dns localhost --ip 127.0.0.1 --days 30 --out "$WORK/front-2" --quiet
version 2 front-2 front-ca
renewed "the rename is noticed" "listener mtls: certificateFile \(until 20.*Z\), keyFile\""
equal "the new one is shown" "$(serial "$WORK/front-2.crt")" "$(shown)"
matches "and its date is known" "^[0-9]+$" "$(metric 'hawser_certificate_not_after_seconds{listener="mtls",file="certificateFile"}')"
check "which is an earlier one" [ "$(metric 'hawser_certificate_not_after_seconds{listener="mtls",file="certificateFile"}')" -lt "$until_before" ]
check "the kept connection goes on" kept_answers "$OLD"

equal "what agents are shown" "$(serial "$WORK/front.crt")" "$(shown apiserver "$AGENTS")"
cp "$WORK/front-2.crt" "$WORK/agents.crt"
cp "$WORK/front-2.key" "$WORK/agents.key"
renewed "it is noticed" "listener agents: certificateFile"
equal "is the new one as well" "$(serial "$WORK/front-2.crt")" "$(shown apiserver "$AGENTS")"

echo "--- the client CA of the listener"
equal "a client of the new CA, before" 56 "$(as apiserver-2 "https://$OLD/healthz" -o /dev/null 2>/dev/null; echo $?)"
version 3 front-2 front-ca-2
renewed "the client CA is noticed" "listener mtls: clientCaFile"
equal "a client of the new CA comes in" ok "$(as apiserver-2 "https://$OLD/healthz")"
refute "a client of the old CA does not" as apiserver "https://$OLD/healthz" -o /dev/null 2>"$WORK/curl.err"
refute "and no session was ever given out, with which it could" test -e "$WORK/session"
check "the kept connection goes on, as documented" kept_answers "$OLD"

echo "--- the certificate towards kubelets"
whoami() { via "https://$OLD/whoami" | tr -d ' \n' | grep -oE '"client_cn":"[^"]*"'; }
equal "the kubelet knows the broker" '"client_cn":"egress-broker"' "$(whoami)"
idle=$(metric 'hawser_pool_connections{state="idle"}')
check "connections are kept for more" [ "$idle" -ge 1 ]
"$PKI" client --ca "$WORK/kubelet-ca" --cn egress-broker-2 --out "$WORK/egress-2" --quiet
via "https://$OLD/bytes/6000000" --limit-rate 2M -o "$WORK/long" &
long=$!
wait_for 5 metric_is 'hawser_pool_connections{state="leased"}' 1
cp "$WORK/egress-2.crt" "$WORK/up/egress.crt"
cp "$WORK/egress-2.key" "$WORK/up/egress.key"
renewed "it is noticed" "tlsProfile kubelet: clientCertificateFile \(until .*\), clientKeyFile"
lacks "both files, and not one without the other" reload_failed "$(cat "$WORK/hawser.log")"
check "idle connections of before are closed" wait_for 5 metric_is 'hawser_pool_connections{state="idle"}' 0
resumed=$(metric 'hawser_tls_handshakes_total{kind="resumed"}')
equal "the kubelet sees the new one, at once" '"client_cn":"egress-broker-2"' "$(whoami)"
equal "and no ticket of before was offered" "$resumed" "$(metric 'hawser_tls_handshakes_total{kind="resumed"}')"
wait $long
equal "what was under way came to its end" "0 6000000" "$? $(stat -c %s "$WORK/long")"

echo "--- the CA of kubelets"
equal "a kubelet of another CA, before" 502 "$(via "https://$NEW/healthz" -o /dev/null -w '%{http_code}')"
via "https://$OLD/bytes/6000000" --limit-rate 2M -o "$WORK/long" &
long=$!
via "https://$OLD/healthz" -o /dev/null # leaves an idle connection
wait_for 5 metric_is 'hawser_pool_connections{state="leased"}' 1
cp "$WORK/kubelet-ca-2/ca.crt" "$WORK/up/ca.crt"
renewed "it is noticed" "tlsProfile kubelet: caFile"
equal "a kubelet of the new CA" ok "$(via "https://$NEW/healthz")"
equal "one of the old CA, to which a connection was open" 502 "$(via "https://$OLD/healthz" -o "$WORK/body" -w '%{http_code}')"
matches "and why" "not signed by a trusted CA" "$(cat "$WORK/body")"
wait $long
equal "what was under way came to its end" "0 6000000" "$? $(stat -c %s "$WORK/long")"
check "the kept connection sees the new CA, too" kept_answers "$NEW"

echo "--- a bearer token"
equal "with the first token" 200 "$(via "https://$TOKEN/healthz" -o /dev/null -w '%{http_code}')"
dialled=$(metric 'hawser_pool_leases_total{result="dialled"}')
install -m 600 /dev/stdin "$WORK/token.new" <<<wrong-$RANDOM
mv "$WORK/token.new" "$WORK/token"
renewed "a token that the kubelet does not know" "tlsProfile token: bearerTokenFile"
equal "is what it gets" 401 "$(via "https://$TOKEN/healthz" -o /dev/null -w '%{http_code}')"
install -m 600 /dev/stdin "$WORK/token.new" <<<$second_token
mv "$WORK/token.new" "$WORK/token"
renewed "the second token" "tlsProfile token: bearerTokenFile" 2
equal "is good" 200 "$(via "https://$TOKEN/healthz" -o /dev/null -w '%{http_code}')"
equal "no connection was given up for a token" "$dialled" "$(metric 'hawser_pool_leases_total{result="dialled"}')"

echo "--- names of nodes"
named() { via "https://$TOKEN/healthz" -o "$WORK/body" -w '%{http_code}'; }
equal "the node that it should be" 200 "$(named)"
echo "${TOKEN%:*} node-00002" >"$WORK/nodes"
renewed "another name" "route tokens: nodeNameFile"
equal "is one that no kept connection has" 502 "$(named)"
matches "and why" "system:node:node-00002" "$(cat "$WORK/body")"
printf '%s\n' "${TOKEN%:*} node-00001" "not-finished" >"$WORK/nodes"
check "a broken list is refused" wait_for 15 said "event=reload_failed .*route tokens: $WORK/nodes:2:13: nodeNameFile: found nothing, expected a node's name after the address; what was in force stays"
equal "and changes nothing" 502 "$(named)"
echo "# nobody is named" >"$WORK/nodes"
renewed "a name that is gone" "route tokens: nodeNameFile" 2
equal "is not asked for any more" 200 "$(named)"
echo "${TOKEN%:*} node-00001" >"$WORK/nodes"
renewed "the name of before" "route tokens: nodeNameFile" 3
equal "is good again" 200 "$(named)"

echo "--- a bridge's issuer"
bridged() { # bridged CA: a request inside a tunnel, by a client that trusts this CA
    python3 - "$UNIX" "${NEW%:*}" "${NEW#*:}" "$WORK" "$1" <<'PY'
import socket
import ssl
import sys
path, host, port, work, ca = sys.argv[1:6]
context = ssl.create_default_context(cafile="%s/%s/ca.crt" % (work, ca))
context.load_cert_chain(work + "/apiserver.crt", work + "/apiserver.key")
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
s.sendall(("CONNECT %s:%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (host, port)).encode())
s.recv(4096)
try:
    s = context.wrap_socket(s, server_hostname=host)
except ssl.SSLCertVerificationError:
    raise SystemExit("untrusted")
s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
print(s.recv(4096).decode().split("\r\n")[0])
PY
}
equal "the first issuer" "HTTP/1.1 200 OK" "$(bridged bridge-ca 2>&1)"
cp "$WORK/bridge-ca-2/ca.key" "$WORK/issuer/ca.key"
check "half of a pair is refused" wait_for 15 said 'event=reload_failed .*route bridge: issuerKeyFile: found .*not the key of'
equal "and the first issuer stays" "HTTP/1.1 200 OK" "$(bridged bridge-ca 2>&1)"
cp "$WORK/bridge-ca-2/ca.crt" "$WORK/issuer/ca.crt"
renewed "the other half makes it whole" "route bridge: issuerCertificateFile .*, issuerKeyFile"
equal "the second issuer" "HTTP/1.1 200 OK" "$(bridged bridge-ca-2 2>&1)"
equal "and no more the first" untrusted "$(bridged bridge-ca 2>&1)"

echo "--- broken files"
failures=$(reloads failed)
before=$(lines reload_failed)
head -c 300 "$WORK/front.crt" >"$WORK/cut.crt"
cp "$WORK/front.key" "$WORK/cut.key"
version 4 cut front-ca-2
check "a cut certificate is refused" wait_for 15 said 'event=reload_failed .*listener mtls: certificateFile: found .*what was in force stays' 1
equal "the gauge says so" 1 "$(metric hawser_reloads_refused)"
equal "the old one is shown" "$(serial "$WORK/front-2.crt")" "$(shown apiserver-2)"
"$PKI" server --ca "$WORK/front-ca" --cn hawser --ip 127.0.0.1 --expired --out "$WORK/late" --quiet
version 5 late front-ca-2
check "an expired one is refused" wait_for 15 said 'event=reload_failed .*listener mtls: certificateFile: found .*\(expired ' 1
sleep 2 # ten looks more
equal "one line for each" $((before + 2)) "$(lines reload_failed)"
equal "and one count" $((failures + 2)) "$(reloads failed)"
rm "$WORK/up/ca.crt"
check "a file that is gone" wait_for 15 said 'event=reload_failed .*tlsProfile kubelet: caFile: found .*no such file'
equal "the old CA stays" ok "$(via "https://$NEW/healthz")"
equal "two sets are broken" 2 "$(metric hawser_reloads_refused)"
cp "$WORK/kubelet-ca-2/ca.crt" "$WORK/up/ca.crt"
version 6 front front-ca-2
check "all is well again" wait_for 15 metric_is hawser_reloads_refused 0
first_is_shown() { [ "$(serial "$WORK/front.crt")" = "$(shown apiserver-2)" ]; } # the workers adopt it after it was found good
check "the first certificate is shown again" wait_for 5 first_is_shown
touch "$WORK/up/ca.crt"
sleep 1
done_before=$(reloads done)
kill -HUP "$HAWSER"
check "SIGHUP is answered" wait_for 15 said 'event=reload .*asked: 0 changed, 0 refused, 6 as they were'
equal "what has not changed is not renewed" "$done_before" "$(reloads done)"
check "the kept connection was never cut" kept_answers "$NEW"
exec 7>&-
lacks "no token is in the log" "$first_token|$second_token" "$(cat "$WORK/hawser.log")"
hawser_stop

echo "--- reloadMs: 0: on SIGHUP only"
sed -i 's/^reloadMs: .*/reloadMs: 0/' "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
version 7 front-2 front-ca-2
sleep 1
equal "nothing is looked at" "$(serial "$WORK/front.crt")" "$(shown apiserver-2)"
kill -HUP "$HAWSER"
renewed "but on SIGHUP" "listener mtls: certificateFile"
equal "the new one is shown" "$(serial "$WORK/front-2.crt")" "$(shown apiserver-2)"
hawser_stop
