#!/usr/bin/env bash
# The listener of mutual TLS and the Unix socket's credentials: who may come in, who may not, and that nothing of a client
# that may not reaches a backend.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"

make_pki
PLAIN=$(free_address 10255)
KUBELET=$(free_address 10250)
kubelet_certificate node-1 "$KUBELET"
PORT=$(free_port)
PORT13=$(free_port)
"$PKI" client --ca "$WORK/front-ca" --cn somebody-else --out "$WORK/somebody" --quiet
"$PKI" client --ca "$WORK/front-ca" --cn x --dns api-1.control-plane --out "$WORK/wildcard" --quiet
"$PKI" client --ca "$WORK/front-ca" --cn x --dns a.b.control-plane --out "$WORK/deeper" --quiet
"$PKI" client --ca "$WORK/rogue-ca" --cn kube-apiserver --out "$WORK/rogue" --quiet
"$PKI" client --ca "$WORK/front-ca" --cn kube-apiserver --expired --out "$WORK/old" --quiet
"$PKI" server --ca "$WORK/front-ca" --cn kube-apiserver --eku server --out "$WORK/notclient" --quiet
"$PKI" client --ca "$WORK/front-ca" --cn kube-apiserver --key rsa2048 --out "$WORK/rsa" --quiet
head -c 1048576 /dev/urandom >"$WORK/mib"

start backend python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/ledger"
start kubelet python3 "$PEERS/backend.py" "$KUBELET" 10250 "$WORK/ledger-tls" --tls "$WORK/node-1.crt" "$WORK/node-1.key" "$WORK/kubelet-ca/ca.crt"
{
    cat <<YAML
listeners:
  - name: unix
    unix: {path: $UNIX, mode: "0666", allowedUids: [0, $(id -u)]}
  - name: nobody
    unix: {path: $WORK/nobody.sock, mode: "0666", allowedUids: [54321]}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls: &tls
      certificateFile: $WORK/front.crt
      keyFile: $WORK/front.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver, "*.control-plane"]
  - name: mtls13
    tcp: {address: 127.0.0.1, port: $PORT13}
    tls:
      certificateFile: $WORK/front.crt
      keyFile: $WORK/front.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver]
      minVersion: "1.3"
timeouts: {tlsMs: 1500}
YAML
    kubelet_profile
    loopback_routes
} | sed 's/ &tls$//' | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
P=http://$PLAIN:10255
wait_for 10 listens "$PLAIN" 10255 || die "the backend did not start"
wait_for 10 listens "$KUBELET" 10250 || die "the kubelet did not start"
wait_for 10 via "$P/ok" -fo /dev/null || die "the backend did not answer"

# as CLIENT TARGET [curl option...]: through mutual TLS with that certificate
as() {
    local client=$1 target=$2 authority=${2#*://}
    shift 2
    curl --http1.1 -sS -m 20 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/$client.crt" --key "$WORK/$client.key" \
        --request-target "$target" -H "Host: ${authority%%/*}" "$@" "https://127.0.0.1:$PORT/"
}

equal "GET" ok "$(as apiserver $P/ok)"
equal "GET, https behind" ok "$(as apiserver https://$KUBELET:10250/ok)"
equal "TLS 1.2" ok "$(as apiserver $P/ok --tls-max 1.2)"
equal "TLS 1.3" ok "$(as apiserver $P/ok --tlsv1.3)"
equal "an RSA client" ok "$(as rsa $P/ok)"
equal "a wildcard name" ok "$(as wildcard $P/ok)"
check "POST 1 MiB" as apiserver $P/echo --data-binary "@$WORK/mib" -o "$WORK/got"
check "POST 1 MiB byte for byte" cmp "$WORK/mib" "$WORK/got"
check "POST 1 MiB chunked, https behind" as apiserver https://$KUBELET:10250/echo --data-binary "@$WORK/mib" -H 'Transfer-Encoding: chunked' -o "$WORK/got"
check "byte for byte" cmp "$WORK/mib" "$WORK/got"
check "16 MiB down" as apiserver "$P/big?size=16777216" -o "$WORK/got"
equal "all of them" 16777216 "$(stat -c %s "$WORK/got")"
equal "100 requests, one connection" 1 "$(curl --http1.1 -sS -m 60 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key" \
    --request-target $P/ok -H "Host: $PLAIN:10255" "https://127.0.0.1:$PORT/[1-100]" -o /dev/null -w '%{num_connects}\n' | awk '{ n += $1 } END { print n }')"
equal "by its name localhost" ok "$(as apiserver $P/ok --resolve "localhost:$PORT:127.0.0.1" --connect-to "127.0.0.1:$PORT:localhost:$PORT")"

arrived=$(grep -c arriving "$WORK/ledger")
failed=$(metric hawser_front_tls_failed_total)
refused=$(metric hawser_connections_refused_total)
# nothing of an answer, and an exit status that says so
turned_away() { # turned_away SENTENCE COMMAND...
    local sentence=$1 out
    shift
    if out=$("$@" 2>"$WORK/curl.err"); then fail "$sentence: got '$out'"; fi
    equal "$sentence: no byte of an answer" "" "$out"
}
turned_away "no certificate" curl -sS -m 20 --cacert "$WORK/front-ca/ca.crt" --request-target $P/ok "https://127.0.0.1:$PORT/"
turned_away "no certificate, TLS 1.2" curl -sS -m 20 --tls-max 1.2 --cacert "$WORK/front-ca/ca.crt" --request-target $P/ok "https://127.0.0.1:$PORT/"
turned_away "a certificate of another CA" as rogue $P/ok
turned_away "a certificate of another CA, TLS 1.2" as rogue $P/ok --tls-max 1.2
turned_away "an expired certificate" as old $P/ok
turned_away "a server's certificate" as notclient $P/ok
tls_failures=$(($(metric hawser_front_tls_failed_total) - failed))
equal "failed handshakes are counted" 6 $tls_failures
turned_away "a name that is not allowed" as somebody $P/ok
turned_away "two labels for one wildcard" as deeper $P/ok
turned_away "TLS 1.1" as apiserver $P/ok --tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0
turned_away "TLS 1.2 where 1.3 is the least" curl -sS -m 20 --tls-max 1.2 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key" --request-target $P/ok "https://127.0.0.1:$PORT13/"
turned_away "plain HTTP on the TLS port" curl -sS -m 20 --http0.9 --request-target $P/ok "http://127.0.0.1:$PORT/"
refused_now=$(metric hawser_connections_refused_total)
equal "refused names are counted" 2 $((refused_now - refused))
matches "and logged, with the name" 'client_refused.*client=somebody-else.*allowedNames' "$(cat "$WORK/hawser.log")"
turned_away "another uid on the Unix socket" curl -sS -m 20 --unix-socket "$WORK/nobody.sock" --request-target $P/ok http://x/
matches "logged with the uid" "client_refused.*listener=nobody.*uid=$(id -u)" "$(cat "$WORK/hawser.log")"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$WORK"
    turned_away "uid 54322 where 0 is allowed" setpriv --reuid 54322 --clear-groups curl -sS -m 20 --unix-socket "$UNIX" --request-target $P/ok http://x/
    equal "uid 54321 where it is allowed" ok "$(setpriv --reuid 54321 --clear-groups curl -sS -m 20 --unix-socket "$WORK/nobody.sock" --request-target $P/ok -H "Host: $PLAIN:10255" http://x/)"
    arrived=$((arrived + 1))
fi
equal "no backend heard of any of them" "$arrived" "$(grep -c arriving "$WORK/ledger")"

# A handshake that never ends is ended.
exec 7<>"/dev/tcp/127.0.0.1/$PORT"
printf '\x16\x03\x01\x02\x00\x01' >&7
timeout 10 cat <&7 >/dev/null 2>&1
refute "a stopped handshake is cut" [ $? -eq 124 ]
exec 7>&-
equal "and the good client goes on" ok "$(as apiserver $P/ok)"
equal "no client is left" 0 "$(wait_for 5 metric_is hawser_front_connections 1; echo $(($(metric hawser_front_connections) - 1)))"
hawser_stop
