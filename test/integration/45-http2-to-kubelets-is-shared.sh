#!/usr/bin/env bash
# HTTP/2 towards kubelets, by three servers that are not ours: nghttpd, nginx and Go's net/http, which is a kubelet's. HTTP/1.1
# comes in and goes out as streams of one shared connection: bodies both ways, trailers, interim responses, many at once,
# a server that says GOAWAY, one that dies, one with a wrong certificate, and ones that speak HTTP/1.1 only.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
for tool in nginx nghttpd; do
    command -v $tool >/dev/null || { echo "SKIPPED, NOT PASSED: $tool is not here" >&2; exit 77; }
done
GO=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)

make_pki
NGINX=$(free_address 10250)
NGHTTPD=$(free_address 10250)
ROGUE=$(free_address 10250)
OLD=$(free_address 10250)
kubelet_certificate node-1 "$NGINX"
kubelet_certificate node-2 "$NGHTTPD"
kubelet_certificate node-4 "$OLD"
"$PKI" kubelet --ca "$WORK/rogue-ca" --node node-3 --ip "$ROGUE" --out "$WORK/node-3" --quiet || die "hawser-pki failed"
mkdir -p "$WORK/www/put" "$WORK/bodies"
head -c 1048576 /dev/urandom >"$WORK/mib"
head -c 33554432 /dev/urandom >"$WORK/www/big"
printf 'hello\n' >"$WORK/www/small"
: >"$WORK/www/empty"

nginx_server() { # nginx_server ADDRESS NAME [http2]
    cat <<CONF
  server {
    listen $1:10250 ssl ${3:-};
    ssl_certificate $WORK/$2.crt; ssl_certificate_key $WORK/$2.key;
    ssl_client_certificate $WORK/kubelet-ca/ca.crt; ssl_verify_client on;
    root $WORK/www;
    location / { add_header X-Proto \$server_protocol; add_header X-Connection \$connection; }
    location /put/ { dav_methods PUT DELETE; }
    location /host { return 200 "\$http_host \$request_uri \$http_te \$http_connection"; }
  }
CONF
}
cat >"$WORK/nginx.conf" <<CONF
daemon off;
user root;
worker_processes 1;
pid $WORK/nginx.pid;
error_log $WORK/nginx-error.log info;
events { worker_connections 512; }
http {
  access_log $WORK/nginx-access.txt;
  client_body_temp_path $WORK/bodies; proxy_temp_path $WORK/t1; fastcgi_temp_path $WORK/t2; uwsgi_temp_path $WORK/t3;
  scgi_temp_path $WORK/t4;
  client_max_body_size 0;
  keepalive_requests 100000;
$(nginx_server "$NGINX" node-1 http2)
$(nginx_server "$OLD" node-4)
$(nginx_server "$ROGUE" node-3 http2)
}
CONF
start nginx nginx -c "$WORK/nginx.conf" -e "$WORK/nginx-error.log"
start nghttpd nghttpd -a "$NGHTTPD" -d "$WORK/www" --no-content-length --trailer 'x-check: done' --echo-upload 10250 "$WORK/node-2.key" "$WORK/node-2.crt"
PORT=$(free_port)
{
    unix_listener
    cat <<YAML
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
YAML
    kubelet_profile
    echo '    alpn: h2'
    loopback_routes
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
N=https://$NGINX:10250
D=https://$NGHTTPD:10250
wait_for 10 via "$N/small" -fo /dev/null || die "nginx did not answer"
wait_for 10 via "$D/small" -fo /dev/null || die "nghttpd did not answer"

dials() { metric 'hawser_dials_total'; }
shared() { metric 'hawser_pool_connections{state="shared"}'; }
header() { grep -i "^$2:" "$1" | tr -d '\r' | cut -d' ' -f2-; }

# nginx
equal "GET" hello "$(via $N/small -D "$WORK/head")"
equal "nginx was spoken to in HTTP/2" HTTP/2.0 "$(header "$WORK/head" x-proto)"
matches "the client in HTTP/1.1" '^HTTP/1.1 200 OK' "$(cat "$WORK/head")"
equal "GET, empty" "200 0" "$(via $N/empty -o /dev/null -w '%{http_code} %{size_download}')"
equal "HEAD has a length and no body" 33554432 "$(via $N/big -I | tr -d '\r' | awk 'tolower($1) == "content-length:" { print $2 }')"
equal "404" 404 "$(via $N/none -o /dev/null -w '%{http_code}')"
check "a large body arrives whole" cmp -s "$WORK/www/big" <(via $N/big)
equal "a body with a length goes out whole" "201" "$(via $N/put/length -T "$WORK/mib" -o /dev/null -w '%{http_code}')"
check "  byte for byte" cmp -s "$WORK/mib" "$WORK/www/put/length"
equal "a body without a length too" "201" "$(via $N/put/chunks -T - -o /dev/null -w '%{http_code}' <"$WORK/mib")"
check "  byte for byte" cmp -s "$WORK/mib" "$WORK/www/put/chunks"
equal "204" 204 "$(via $N/put/chunks -X DELETE -o /dev/null -w '%{http_code}')"
equal "fields: Host is the authority, TE what we read, and nothing of the connection" "$NGINX:10250 /host?a=%20b trailers " \
    "$(via "$N/host?a=%20b" -H 'Connection: X-Gone' -H 'X-Gone: 1' -H 'TE: gzip')"
d0=$(dials)
for _ in 1 2 3 4 5; do via $N/small -D "$WORK/head-$_" -o /dev/null; done
equal "one connection carries them one after another" 1 "$(cat "$WORK"/head-? | grep -i ^x-connection | sort -u | wc -l)"
equal "  and none was dialled" "$d0" "$(dials)"
many() { # many COUNT URL: at a time, over as many connections of the client
    curl -sS -m 60 --parallel --parallel-immediate --parallel-max "$1" --unix-socket "$UNIX" --request-target "$2" \
        -H "Host: $(cut -d/ -f3 <<<"$2")" "http://b/[1-$1]" -o /dev/null -w '%{http_code}\n' 2>/dev/null | sort | uniq -c | awk '{ print $1 "x" $2 }' | paste -sd' '
}
equal "many at once" 100x200 "$(many 100 $N/big)"
equal "  over that one connection" "$d0" "$(dials)"

# nghttpd
equal "GET, nghttpd" hello "$(via $D/small)"
check "a large body arrives whole, nghttpd" cmp -s "$WORK/www/big" <(via $D/big)
check "an echoed body comes back whole" cmp -s "$WORK/mib" <(via $D/echo --data-binary "@$WORK/mib")
check "  also without a length" cmp -s "$WORK/mib" <(via $D/echo -X POST -T - <"$WORK/mib")
check "a body without a length, nghttpd" via $D/small -D "$WORK/head" -o /dev/null
matches "  has its trailers" 'x-check: done' "$(cat "$WORK/head")"

# HTTP/2 on both sides.
h2() { # h2 AUTHORITY PATH [nghttp option...]
    local authority=$1 path=$2
    shift 2
    timeout 30 nghttp --cert="$WORK/apiserver.crt" --key="$WORK/apiserver.key" -H ":authority: $authority:10250" "$@" "https://127.0.0.1:$PORT$path" 2>/dev/null
}
equal "HTTP/2 in, HTTP/2 out" hello "$(h2 "$NGINX" /small)"
check "  a large body" cmp -s "$WORK/www/big" <(h2 "$NGINX" /big)
check "  a body that is echoed, and trailers with it" cmp -s "$WORK/mib" <(h2 "$NGHTTPD" /echo -d "$WORK/mib" --trailer 'x-sum: 1')
matches "  trailers of the answer" 'x-check: done' "$(h2 "$NGHTTPD" /small -vn)"
# Who must be refused, and who does not speak it.
matches "a wrong certificate is refused" '^502' "$(via https://$ROGUE:10250/small -o "$WORK/rogue" -w '%{http_code}')"
matches "  and it is said why" 'not signed by a trusted CA' "$(cat "$WORK/rogue")"
equal "a kubelet without HTTP/2" hello "$(via https://$OLD:10250/small -D "$WORK/head")"
equal "  is spoken to in HTTP/1.1" HTTP/1.1 "$(header "$WORK/head" x-proto)"
d0=$(dials)
equal "many at once to it" 12x200 "$(many 12 https://$OLD:10250/big)"
check "  over connections of their own" [ "$(dials)" -gt $((d0 + 1)) ]

# Go
if [ -n "$GO" ]; then
    export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off GOCACHE=${GOCACHE:-${TMPDIR:-/tmp}/hawser-go-cache}
    (cd "$HAWSER_SOURCE/test/interop/goserver" && "$GO" build -o "$WORK/goserver" .) || die "the Go program does not build"
    GOSERVER=$(free_address 10250)
    kubelet_certificate node-5 "$GOSERVER"
    go_server() {
        start go-server "$WORK/goserver" serve -address "$GOSERVER:10250" -cert "$WORK/node-5.crt" -key "$WORK/node-5.key" \
            -client-ca "$WORK/kubelet-ca/ca.crt" -keep-alive -h2 -stats "$WORK/go.stats"
        GOPID=$PID
        wait_for 10 listens "$GOSERVER" 10250 || die "the Go server did not start"
    }
    go_server
    G=https://$GOSERVER:10250
    sum=$(sha256sum <"$WORK/mib" | cut -d' ' -f1)
    matches "Go sees HTTP/2" "^HTTP/2.0 $GOSERVER:10250 " "$(via $G/proto)"
    equal "a body to Go" "1048576 $sum" "$(via $G/digest --data-binary "@$WORK/mib")"
    equal "  without a length" "1048576 $sum" "$(via $G/digest -X POST -T - <"$WORK/mib")"
    check "trailers of Go" via $G/digest -X POST -T - -D "$WORK/head" -o /dev/null <"$WORK/mib"
    matches "  are passed on" "x-digest: $sum" "$(tail -n 2 "$WORK/head" | tr 'XD' xd)"
    equal "lines that are flushed one by one" 100 "$(via $G/chunks | wc -l)"
    matches "interim responses" '^HTTP/1.1 103' "$(via $G/hints -i | tr -d '\r')"
    equal "  and the final one" after "$(via $G/hints)"
    equal "an early answer to a large body" 413 "$(via $G/refuse-early --data-binary "@$WORK/www/big" -o /dev/null -w '%{http_code}' 2>/dev/null)"
    refute "a response that is cut is cut for the client" via $G/abort -o /dev/null 2>/dev/null
    matches "  and its neighbours are not" '^HTTP/2.0' "$(via $G/proto)"
    d0=$(dials)
    equal "240 at the same time" 240x200 "$(many 240 "$G/together?n=240")"
    equal "  on one connection" "$d0" "$(dials)"
    equal "300 at the same time, which is more than Go allows on one" 300x200 "$(many 300 "$G/together?n=300")"
    equal "  on two" $((d0 + 1)) "$(dials)"

    # A polite restart: GOAWAY, what is open ends, what comes goes to a new connection.
    via "$G/slow" -o "$WORK/slow" -w '%{http_code}' >"$WORK/slow-code" &
    slow=$!
    sleep 0.1
    kill -USR1 "$GOPID"
    wait "$slow"
    equal "what was open when the server said GOAWAY is answered" "200 GET" "$(cat "$WORK/slow-code") $(cat "$WORK/slow")"
    stop "$GOPID" KILL 2>/dev/null
    go_server
    matches "after the restart" '^HTTP/2.0' "$(via $G/proto)"

    # One that dies: an idempotent request that it had not answered is sent again, to its successor.
    stop "$GOPID" KILL 2>/dev/null
    go_server
    matches "after a kill" '^HTTP/2.0' "$(via $G/proto)"
    for round in 1 2 3; do
        (for _ in $(seq 40); do via "$G/proto?round" -o /dev/null 2>/dev/null; done) &
        loop=$!
        sleep 0.3
        kill -USR1 "$GOPID"
        wait "$GOPID" 2>/dev/null
        go_server
        wait "$loop"
    done
    equal "polite restarts under load lose nothing but what finds the port closed" 120 \
        "$(grep -a 'method=GET .*path=/proto ' "$WORK/hawser.log" | tail -n 120 | grep -acE 'end=(done|refused|breaker_open)( |$)')"
    check "  and most find it open" [ "$(grep -a 'path=/proto ' "$WORK/hawser.log" | tail -n 120 | grep -c 'status=200')" -ge 60 ]
else
    echo "NOT TESTED: no Go compiler here, so HTTP/2 with Go's server was NOT tested" >&2
fi

equal "no session failed" 0 "$(metric hawser_http2_upstream_failed_total)"
hawser_stop
