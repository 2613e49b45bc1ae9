#!/usr/bin/env bash
# HTTP/2 in front, as clients that nobody here wrote speak it: curl, nghttp, h2load and Go's net/http, by prior knowledge over
# the Unix socket and by ALPN over mutual TLS; to backends of HTTP/1 and of HTTP/2; CONNECT on streams; draining.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
for program in nghttp h2load; do
    command -v $program >/dev/null || { echo "SKIPPED: $program is not here" >&2; exit 77; }
done
curl --version | grep -q HTTP2 || { echo "SKIPPED: curl without HTTP/2" >&2; exit 77; }
GO=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off GOCACHE=${GOCACHE:-${TMPDIR:-/tmp}/hawser-go-cache}
if [ -n "$GO" ]; then
    (cd "$HAWSER_SOURCE/test/interop/goserver" && "$GO" build -o "$WORK/goserver" .) || die "the Go program does not build"
else
    echo "no Go compiler here: Go's client was NOT tested" >&2
fi

make_pki
PLAIN=$(free_address 10255)
FAR=$(free_address 10255)
KUBELET=$(free_address 10250)
K2=$(free_address 10250)
kubelet_certificate node-1 "$KUBELET"
kubelet_certificate node-2 "$K2"
PORT=$(free_port)
head -c 1048576 /dev/urandom >"$WORK/mib"
head -c 33554432 /dev/urandom >"$WORK/large"
head -c 4194304 /dev/urandom >"$WORK/four"
start backend python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/ledger"
start kubelet python3 "$PEERS/backend.py" "$KUBELET" 10250 "$WORK/ledger-tls" --tls "$WORK/node-1.crt" "$WORK/node-1.key" "$WORK/kubelet-ca/ca.crt"
if [ -n "$GO" ]; then
    start gokubelet "$WORK/goserver" serve -address "$K2:10250" -cert "$WORK/node-2.crt" -key "$WORK/node-2.key" \
        -client-ca "$WORK/kubelet-ca/ca.crt" -h2 -keep-alive
fi
{
    cat <<YAML
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
tlsProfiles:
  - name: kubelet
    caFile: $WORK/kubelet-ca/ca.crt
    clientCertificateFile: $WORK/egress.crt
    clientKeyFile: $WORK/egress.key
    alpn: h2
routes:
  - name: kubelets
    match: {cidrs: [127.64.0.0/10], ports: [10250], schemes: [https, tunnel]}
    tlsProfile: kubelet
  - name: plain
    match: {cidrs: [127.64.0.0/10], ports: [10255, 10299], schemes: [http, tunnel]}
pool: {connectionsPerEndpointMax: 64, waitersPerEndpointMax: 1000, waitTimeoutMs: 20000}
timeouts: {drainMs: 12000}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
P=http://$PLAIN:10255
wait_for 10 listens "$PLAIN" 10255 || die "the backend did not start"
wait_for 10 listens "$KUBELET" 10250 || die "the kubelet did not start"
[ -z "$GO" ] || wait_for 10 listens "$K2" 10250 || die "the Go kubelet did not start"

two() { # two URL [curl option...]: by prior knowledge over the Unix socket
    local url=$1
    shift
    curl -sS -m 60 --http2-prior-knowledge --unix-socket "$UNIX" "$url" "$@"
}
as() { # as PATH AUTHORITY [curl option...]: by ALPN through mutual TLS, to https://AUTHORITY
    local path=$1 authority=$2
    shift 2
    curl -sS -m 60 --http2 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key" \
        -H "Host: $authority" "$@" "https://127.0.0.1:$PORT$path"
}

# -- curl, by prior knowledge: everything of HTTP/1's tests that has a meaning here
equal "GET" "ok 2" "$(two $P/ok -w '%{http_version}' | tr '\n' ' ')"
matches "HEAD has the length" "^content-length: 3" "$(two $P/ok -I)"
check "64 MiB" two "$P/big?size=67108864" -o "$WORK/got"
equal "64 MiB are as many" 67108864 "$(stat -c %s "$WORK/got")"
check "POST 1 MiB" two $P/echo --data-binary "@$WORK/mib" -o "$WORK/got"
check "POST 1 MiB byte for byte" cmp "$WORK/mib" "$WORK/got"
check "POST 4 MiB without a length" two $P/echo -T "$WORK/four" -X POST -H 'Content-Length:' -H 'Expect:' -o "$WORK/got"
check "POST 4 MiB byte for byte" cmp "$WORK/four" "$WORK/got"
equal "POST of nothing" 200 "$(two $P/ok -X POST -d '' -o /dev/null -w '%{http_code}')"
two $P/trailers -D "$WORK/head" -o "$WORK/got" >/dev/null
equal "chunks of a response" onetwothree "$(cat "$WORK/got")"
matches "trailers of a response" "^x-sum: 11" "$(cat "$WORK/head")"
matches "1xx pass" "^HTTP/2 103" "$(two $P/hints -D - -o /dev/null)"
matches "Expect: 100-continue" "^< HTTP/2 100" "$(two $P/continue -X POST -T "$WORK/mib" -H 'Expect: 100-continue' -v -o "$WORK/got" 2>&1)"
check "and the body" cmp "$WORK/mib" "$WORK/got"
equal "an early refusal arrives" "413" "$(two $P/early --data-binary "@$WORK/large" -o /dev/null -w '%{http_code}' 2>/dev/null)"
equal "a response without a length" "lasts until the end" "$(two $P/until-close)"
refute "a cut body is no success" two $P/mid-body -o /dev/null 2>/dev/null
equal "after all of that" ok "$(two $P/ok)"
equal "no route" 403 "$(two "http://192.0.2.1/" -o "$WORK/body" -D "$WORK/head" -w '%{http_code}')"
matches "no route: why, for people" "no route matches" "$(cat "$WORK/body")"
matches "no route: why, for programs" '^proxy-status: hawser; error=http_request_denied; details="' "$(cat "$WORK/head")"
equal "refused by the destination" 502 "$(two "http://$FAR:10255/" -o "$WORK/body" -D "$WORK/head" -w '%{http_code}')"
matches "refused by the destination: which" '^proxy-status: hawser; error=connection_refused; details="' "$(cat "$WORK/head")"

# -- HTTP/1 and HTTP/2 on one socket, told apart by their first bytes
equal "HTTP/1.1 on the same socket" ok "$(via $P/ok)"
matches "Via says how it came" "^Via: 2 hawser" "$(two $P/show)"
matches "and for HTTP/1.1" "^Via: 1.1 hawser" "$(via $P/show)"
matches "the log, too" "event=access .*protocol=h2 method=GET host=$PLAIN" "$(cat "$WORK/hawser.log")"
matches "the log, too, HTTP/1.1" "event=access .*protocol=http/1.1 method=GET host=$PLAIN" "$(cat "$WORK/hawser.log")"

# -- curl, by ALPN
equal "ALPN: GET" "ok 2" "$(as /ok "$KUBELET:10250" -w '%{http_version}' | tr '\n' ' ')"
check "ALPN: POST 4 MiB" as /echo "$KUBELET:10250" --data-binary "@$WORK/four" -H 'Expect:' -o "$WORK/got"
check "ALPN: POST 4 MiB byte for byte" cmp "$WORK/four" "$WORK/got"
check "ALPN: 64 MiB" as "/big?size=67108864" "$KUBELET:10250" -o "$WORK/got"
equal "ALPN: 64 MiB are as many" 67108864 "$(stat -c %s "$WORK/got")"
# By prior knowledge curl 7.88 breaks off by itself at its second request, with nghttpd too.
equal "ALPN: 100 requests, one connection" "100 1" "$(as "/ok?[1-100]" "$KUBELET:10250" -o /dev/null -w '%{http_code} %{num_connects}\n' |
    awk '$1 == 200 { n++ } { c += $2 } END { print n, c }')"
equal "ALPN: 40 at a time, each its own answer" 400 "$(as "/show?n=[1-400]" "$KUBELET:10250" -Z --parallel-max 40 2>/dev/null |
    grep -ao 'GET /show?n=[0-9]* ' | sort -u | wc -l)"
equal "ALPN: who wants HTTP/1.1 gets it" "1.1" "$(curl -sS -m 20 --http1.1 --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/apiserver.crt" \
    --key "$WORK/apiserver.key" --request-target "https://$KUBELET:10250/ok" -H "Host: $KUBELET:10250" "https://127.0.0.1:$PORT/" -o /dev/null -w '%{http_version}')"
equal "TLS without ALPN, by prior knowledge" "ok 2" "$(as /ok "$KUBELET:10250" --no-alpn --http2-prior-knowledge -w '%{http_version}' | tr '\n' ' ')"
equal "ALPN: TLS 1.2" ok "$(as /ok "$KUBELET:10250" --tls-max 1.2)"

# -- nghttp and h2load
nghttp --no-verify-peer --cert="$WORK/apiserver.crt" --key="$WORK/apiserver.key" -H":authority: $KUBELET:10250" -m 20 -s \
    "https://127.0.0.1:$PORT/ok" >"$WORK/nghttp.out" 2>&1
equal "nghttp: 20 at a time" 20 "$(grep -c ' 200 ' "$WORK/nghttp.out")"
nghttp --no-verify-peer --cert="$WORK/apiserver.crt" --key="$WORK/apiserver.key" -H":authority: $KUBELET:10250" --trailer 'x-sum: 5' \
    -d "$WORK/mib" "https://127.0.0.1:$PORT/echo" >"$WORK/got" 2>/dev/null
check "nghttp: an upload with trailers" cmp "$WORK/mib" "$WORK/got"
load() { # load SENTENCE BYTES URL [h2load option...]: all succeed, and every byte of them came
    local sentence=$1 bytes=$2 url=$3
    shift 3
    h2load -B "unix:$UNIX" "$@" "$url" >"$WORK/h2load.out" 2>&1
    local n
    n=$(awk '/^requests:/ { print $2 }' "$WORK/h2load.out")
    matches "$sentence: all succeed" "^requests: $n total, $n started, $n done, $n succeeded, 0 failed, 0 errored" "$(cat "$WORK/h2load.out")"
    matches "$sentence: every byte" "\\($((n * bytes))\\) data" "$(cat "$WORK/h2load.out")"
}
load "h2load: small ones" 3 "$P/ok" -n 2000 -c 4 -m 10
load "h2load: 64 KiB" 65536 "$P/big?size=65536" -n 400 -c 4 -m 25
load "h2load: 1 MiB with windows of 16 KiB" 1048576 "$P/big?size=1048576" -n 40 -c 2 -m 10 -w 14 -W 14

# -- Go's client: all of its checks on one connection, and tunnels on its streams
if [ -n "$GO" ]; then
    start plain "$WORK/goserver" serve -address "$FAR:10255" -plain -keep-alive
    wait_for 10 listens "$FAR" 10255 || die "the plain Go server did not start"
    if "$WORK/goserver" h2 -help 2>&1 | grep -q listen; then
        L=$(free_address 10299)
        check "Go's client, Unix socket, HTTP/1 behind, tunnels" timeout 100 "$WORK/goserver" h2 -target "http://$FAR:10255" -unix "$UNIX" -listen "$L:10299" \
            -kubelet "$K2:10250" -kubelet-ca "$WORK/kubelet-ca/ca.crt" -kubelet-cert "$WORK/egress.crt" -kubelet-key "$WORK/egress.key"
        check "Go's client, mutual TLS, HTTP/2 behind, tunnels" timeout 100 "$WORK/goserver" h2 -target "https://$K2:10250" -proxy "https://127.0.0.1:$PORT" \
            -ca "$WORK/front-ca/ca.crt" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" -listen "$L:10299" \
            -kubelet "$K2:10250" -kubelet-ca "$WORK/kubelet-ca/ca.crt" -kubelet-cert "$WORK/egress.crt" -kubelet-key "$WORK/egress.key"
        matches "HTTP/2 on both sides" "^HTTP/2.0 " "$(as /proto "$K2:10250")"
    else
        echo "this Go is older than 1.24: its client was NOT tested" >&2
    fi
fi
check "requests are over" wait_for 5 metric_is hawser_requests_in_flight 0
check "tunnels are over" wait_for 5 metric_is hawser_tunnels_open 0
equal "nobody was taken for hostile" "" "$(curl -s "http://127.0.0.1:$ADMIN/metrics" | grep -E '^hawser_front_http2_(floods|errors)' | grep -v ' 0$')"

# -- draining: what runs is finished, by GOAWAY nobody is surprised
two "$P/stream?lines=40" -N -o "$WORK/stream" &
STREAM=$!
check "a stream runs" wait_for 5 grep -q 'line 001' "$WORK/stream"
python3 - "$UNIX" >"$WORK/idle" <<'PY' &
import sys
from http2 import Connection
c = Connection(sys.argv[1])
c.until(lambda: c.closed, 10)
print("closed" if c.closed and c.goaway and c.goaway[1] == 0 else "open %r" % (c.goaway,))
PY
IDLE=$!
check "an idle client is there" wait_for 5 metric_is hawser_front_connections 3
kill -TERM "$HAWSER"
check "idle clients are let go" wait $IDLE
equal "by GOAWAY and a clean end" closed "$(cat "$WORK/idle")"
check "the stream is finished" wait $STREAM
equal "to its last line" "line 039" "$(tail -1 "$WORK/stream")"
wait "$HAWSER"
equal "the exit code" 0 $?
no_sanitizer_spoke
