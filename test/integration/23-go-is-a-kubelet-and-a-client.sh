#!/usr/bin/env bash
# Go's crypto/tls and net/http, which kubelets and kube-apiserver are made of: as the server behind the broker, with tickets
# whose key rotates and without keep-alive, so that every request dials; and as the client in front of it.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
GO=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
if [ -z "$GO" ]; then
    echo "SKIPPED, NOT PASSED: no Go compiler here, so resumption against Go's TLS server was NOT tested" >&2
    exit 77
fi
export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off GOCACHE=${GOCACHE:-${TMPDIR:-/tmp}/hawser-go-cache}
(cd "$HAWSER_SOURCE/test/interop/goserver" && "$GO" build -o "$WORK/goserver" .) || die "the Go program does not build"

REQUESTS=${REQUESTS:-1000}
make_pki
S12=$(free_address 10250)
S13=$(free_address 10250)
PLAIN=$(free_address 10255)
kubelet_certificate node-12 "$S12"
kubelet_certificate node-13 "$S13" --key rsa2048
PORT=$(free_port)
go_server() { # go_server NAME ADDRESS VERSION
    start "$1" "$WORK/goserver" serve -address "$2:10250" -cert "$WORK/$1.crt" -key "$WORK/$1.key" \
        -client-ca "$WORK/kubelet-ca/ca.crt" -version "$3" -rotate 100 -stats "$WORK/$1.stats"
    wait_for 10 listens "$2" 10250 || die "the Go server did not start"
}
go_server node-12 "$S12" 1.2
PID12=$PID
go_server node-13 "$S13" 1.3
PID13=$PID
start plain "$WORK/goserver" serve -address "$PLAIN:10255" -plain -keep-alive
{
    cat <<YAML
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
YAML
    kubelet_profile
    loopback_routes
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$PLAIN" 10255 || die "the plain Go server did not start"

go_stat() { # go_stat NAME KEY, of the server's answer over the broker itself
    awk -v want="$2" '$1 == want { print $2 }' <<<"$(cat "$WORK/$1.stats")"
}
full() { metric 'hawser_tls_handshakes_total{kind="full"}'; }
resumed() { metric 'hawser_tls_handshakes_total{kind="resumed"}'; }
many() { # many TARGET COUNT: one request after another on one client connection; prints how many were 200
    curl -sS -m 150 --unix-socket "$UNIX" --request-target "$1" -H "Host: $(cut -d/ -f3 <<<"$1")" "http://b/[1-$2]" -o /dev/null -w '%{http_code}\n' |
        grep -c '^200$'
}
reconnects() { # reconnects NAME ADDRESS VERSION
    local r0 f0 r f
    r0=$(resumed) f0=$(full)
    equal "$3: all requests are answered" "$REQUESTS" "$(many "https://$2:10250/ok" "$REQUESTS")"
    r=$(($(resumed) - r0)) f=$(($(full) - f0))
    echo "TLS $3: $REQUESTS requests, by the broker's count $r resumed and $f full; by Go's $(go_stat "$1" resumed) of $(go_stat "$1" handshakes)"
    equal "$3: every request dialled" "$REQUESTS" $((r + f))
    check "$3: at least 99 % resumed, as the broker counts ($r)" [ $((r * 100)) -ge $((REQUESTS * 99)) ]
    check "$3: at least 99 % resumed, as Go counts ($(go_stat "$1" resumed))" [ $(($(go_stat "$1" resumed) * 100)) -ge $((REQUESTS * 99)) ]
    equal "$3: both counts agree" "$r" "$(go_stat "$1" resumed)"
    check "$3: keys were rotated ($(go_stat "$1" rotations) times)" [ "$(go_stat "$1" rotations)" -ge $((REQUESTS / 100 - 1)) ]
    equal "$3: the version" "$3" "$(go_stat "$1" version)"
    equal "$3: every connection had the client certificate" "$(go_stat "$1" handshakes)" "$(go_stat "$1" certificates)"
}
reconnects node-12 "$S12" 1.2
reconnects node-13 "$S13" 1.3

# New keys at once: the server restarts in the middle. Old tickets are worth nothing, and nobody notices.
for which in 12 13; do
    address=S$which pid=PID$which
    address=${!address}
    stop "${!pid}" TERM
    go_server node-$which "$address" 1.${which#1}
    r0=$(resumed)
    equal "1.${which#1}: after a restart with new keys nothing fails" 100 "$(many "https://$address:10250/ok" 100)"
    r=$(($(resumed) - r0))
    check "1.${which#1}: and resumption is back ($r of 100)" [ $r -ge 90 ]
done

# Semantics, with Go on both sides: its client through the broker to its server, over either listener.
for target in "https://$S13:10250" "https://$S12:10250" "http://$PLAIN:10255"; do
    check "Go's client, Unix socket, to $target" "$WORK/goserver" client -target "$target" -unix "$UNIX"
    check "Go's client, mutual TLS, to $target" "$WORK/goserver" client -target "$target" -proxy "https://127.0.0.1:$PORT" \
        -ca "$WORK/front-ca/ca.crt" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key"
done
# As programs are deployed: net/http with a proxy. It sends absolute-form for http.
check "Go's client with Proxy set" "$WORK/goserver" client -go-proxy -target "http://$PLAIN:10255" -proxy "https://127.0.0.1:$PORT" \
    -ca "$WORK/front-ca/ca.crt" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key"

check "requests are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
