#!/usr/bin/env bash
# curl as client, nginx as kubelet (client certificate required), and for what neither of them can say a backend that says
# it: bodies of every shape compared byte for byte, keep-alive, pipelining, HTTP/1.0, expectations, trailers, 1xx.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
command -v nginx >/dev/null || { echo "SKIPPED: nginx is not here" >&2; exit 77; }

make_pki
NGINX=$(free_address 10250)
PLAIN=$(free_address 10255)
kubelet_certificate node-1 "$NGINX"
mkdir -p "$WORK/www/put" "$WORK/bodies"
head -c 1 /dev/urandom >"$WORK/one"
head -c 1048576 /dev/urandom >"$WORK/mib"
head -c 67108864 /dev/urandom >"$WORK/www/big"
head -c 300000 /dev/urandom >"$WORK/www/trailed"
printf 'hello\n' >"$WORK/www/small"
: >"$WORK/www/empty"

# nginx keeps each posted body in a file and says which; static files carry the rest.
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
  server {
    listen $NGINX:10250 ssl;
    ssl_certificate $WORK/node-1.crt; ssl_certificate_key $WORK/node-1.key;
    ssl_client_certificate $WORK/kubelet-ca/ca.crt; ssl_verify_client on;
    root $WORK/www;
    location / { add_header X-Client \$ssl_client_s_dn; }
    location /put/ { dav_methods PUT DELETE; }
    location /trailed { add_trailer X-Sum \$request_length; }
    location /post { client_body_in_file_only on; proxy_set_header X-File \$request_body_file; proxy_pass http://unix:$WORK/inner.sock; }
  }
  server { listen unix:$WORK/inner.sock; location / { return 200 "\$http_x_file"; } }
}
CONF
start nginx nginx -c "$WORK/nginx.conf" -e "$WORK/nginx-error.log"
start backend python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/ledger"
usual_config "$WORK/hawser.yaml" </dev/null
hawser_start "$WORK/hawser.yaml"
K=https://$NGINX:10250
P=http://$PLAIN:10255
wait_for 10 test -S "$WORK/inner.sock" || die "nginx did not start"
wait_for 10 via "$K/small" -fo /dev/null || die "nginx did not answer"
wait_for 10 listens "$PLAIN" 10255 || die "the backend did not start"
wait_for 10 via "$P/ok" -fo /dev/null || die "the backend did not answer"

# GET and HEAD
equal "GET" hello "$(via $K/small)"
equal "GET, empty" "200 0" "$(via $K/empty -o /dev/null -w '%{http_code} %{size_download}')"
equal "404 passes" 404 "$(via $K/none -o /dev/null -w '%{http_code}')"
matches "nginx saw the client certificate" "X-Client: .*CN=egress-broker" "$(via $K/small -D - -o /dev/null)"
head=$(via $K/big -I)
matches "HEAD has the length" "Content-Length: 67108864" "$head"
matches "and a connection that goes on" "^HTTP/1.1 200" "$head"
check "64 MiB" via $K/big -o "$WORK/got"
check "64 MiB byte for byte" cmp "$WORK/www/big" "$WORK/got"
check "a range" via $K/big -r 1000-1999 -o "$WORK/got"
check "a range byte for byte" cmp <(dd if="$WORK/www/big" bs=1000 skip=1 count=1 status=none) "$WORK/got"

# PUT and POST
for body in one mib; do
    equal "PUT $body" 201 "$(via $K/put/$body -T "$WORK/$body" -o /dev/null -w '%{http_code}')"
    check "PUT $body byte for byte" cmp "$WORK/$body" "$WORK/www/put/$body"
    check "GET $body again" via $K/put/$body -o "$WORK/got"
    check "GET $body byte for byte" cmp "$WORK/$body" "$WORK/got"
    equal "PUT $body chunked" 204 "$(via $K/put/$body -T "$WORK/$body" -H 'Transfer-Encoding: chunked' -o /dev/null -w '%{http_code}')"
    check "PUT $body chunked byte for byte" cmp "$WORK/$body" "$WORK/www/put/$body"
    kept=$(via $K/post --data-binary "@$WORK/$body" -H 'Content-Type: application/octet-stream')
    check "POST $body byte for byte ($kept)" cmp "$WORK/$body" "$kept"
    kept=$(via $K/post --data-binary "@$WORK/$body" -H 'Transfer-Encoding: chunked' -H 'Expect:')
    check "POST $body chunked byte for byte ($kept)" cmp "$WORK/$body" "$kept"
done
equal "PUT 64 MiB" 201 "$(via $K/put/big -T "$WORK/www/big" -o /dev/null -w '%{http_code}')"
check "PUT 64 MiB byte for byte" cmp "$WORK/www/big" "$WORK/www/put/big"
equal "POST without a body" 200 "$(via $K/post -X POST -o /dev/null -w '%{http_code}')"
equal "DELETE" 204 "$(via $K/put/one -X DELETE -o /dev/null -w '%{http_code}')"

# Expect: 100-continue, answered by nginx itself
out=$(via $K/put/mib -T "$WORK/mib" -H 'Expect: 100-continue' -v -o /dev/null 2>&1)
matches "100 Continue came through" "^< HTTP/1.1 100" "$out"
check "and the body" cmp "$WORK/mib" "$WORK/www/put/mib"

# HTTP/1.0, trailers of nginx's own
matches "an HTTP/1.0 client" "hello" "$(via $K/small -0 -i)"
check "until the end for HTTP/1.0" via $K/trailed -0 -D "$WORK/head" -o "$WORK/got"
lacks "no chunks for HTTP/1.0" "chunked" "$(cat "$WORK/head")"
check "byte for byte" cmp "$WORK/www/trailed" "$WORK/got"
check "trailers of nginx" via $K/trailed -D "$WORK/head" -o "$WORK/got"
check "the body before trailers" cmp "$WORK/www/trailed" "$WORK/got"
matches "the trailer" "X-Sum: [0-9]+" "$(cat "$WORK/head")"

# one client connection, one upstream connection
before=$(metric hawser_dials_total)
curl -sS -m 60 --unix-socket "$UNIX" -H "Host: $NGINX:10250" --request-target $K/small "http://b/[1-200]" -o /dev/null -w '%{num_connects}\n' >"$WORK/connects"
equal "200 requests of one client connection" 1 "$(awk '{ n += $1 } END { print n }' "$WORK/connects")"
equal "no dial for them" "$before" "$(metric hawser_dials_total)"
hits=$(metric 'hawser_pool_leases_total{result="hit"}')
check "hits are counted ($hits)" [ "$hits" -ge 200 ]
check "few handshakes for all of this" [ "$(metric 'hawser_tls_handshakes_total{kind="full"}')" -le 3 ]

# what needs every byte in hand
check "raw bytes" python3 "$HERE/raw_bytes.py" "$UNIX" "$NGINX:10250" "$PLAIN:10255" "$WORK/ledger"

check "requests are over" wait_for 5 metric_is hawser_requests_in_flight 0
equal "nothing ended otherwise than done" "" "$(curl -s "http://127.0.0.1:$ADMIN/metrics" | grep '^hawser_exchanges_total' | grep -v '"done"' | grep -v ' 0$')"
hawser_stop
