#!/usr/bin/env bash
# Certificates made for destinations, before clients that nobody here wrote: curl, OpenSSL and Go end their TLS at
# hawser-tls-end, which has the broker's TLS without the broker. Then the choice of a protocol, as a server before them and
# as a client of openssl s_server, nginx and Go.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
END=$HAWSER_BUILD/test/integration/hawser-tls-end
GO=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
export GOFLAGS=-mod=mod GOTOOLCHAIN=local GOPROXY=off GOCACHE=${GOCACHE:-${TMPDIR:-/tmp}/hawser-go-cache}
if [ -n "$GO" ]; then
    (cd "$HAWSER_SOURCE/test/interop/bridgeclient" && "$GO" build -o "$WORK/bridgeclient" .) || die "the Go program does not build"
else
    echo "no Go compiler here: Go's crypto/tls was NOT tested" >&2
fi

make_pki
"$PKI" ca --out "$WORK/bridge-root" --name bridge-root --quiet || die "hawser-pki failed"
"$PKI" ca --out "$WORK/bridge-rsa" --name bridge-rsa --key rsa2048 --quiet || die "hawser-pki failed"
"$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --ca "$WORK/bridge-root" --quiet || die "hawser-pki failed"
"$PKI" server --ca "$WORK/front-ca" --cn s --dns n1.example --ip 127.0.0.1 --out "$WORK/s" --quiet || die "hawser-pki failed"
CLIENT=(--cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key")
GOCLIENT=(-cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key")

bridge() { # bridge NAME ISSUER: its port in $PORT
    PORT=$(free_port)
    start "$1" "$END" bridge 127.0.0.1 "$PORT" "$2/ca.crt" "$2/ca.key" "$WORK/front-ca/ca.crt"
    BRIDGES+=("$PID")
    wait_for 10 listens 127.0.0.1 "$PORT" || die "$1 did not start"
}
BRIDGES=()
through() { # through PORT CA URL [curl option...]
    local port=$1 ca=$2 url=$3
    shift 3
    curl -sS -m 20 -x "http://127.0.0.1:$port" --cacert "$ca" "$url" "$@" 2>&1
}
s_client() { # s_client PORT CA HOST [option...]: what it says of the certificate and the protocol
    local port=$1 ca=$2 host=$3
    shift 3
    openssl s_client -proxy "127.0.0.1:$port" -connect "$host:443" -CAfile "$ca" -verify_return_error \
        -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" "$@" </dev/null 2>&1
}
go_connect() { # go_connect PORT CA TARGET [option...]
    local port=$1 ca=$2 target=$3
    shift 3
    "$WORK/bridgeclient" connect -proxy "127.0.0.1:$port" -ca "$ca" "$@" "$target" 2>&1
}

# Three issuers: an intermediate whose root is trusted, a root itself, an RSA key.
for issuer in bridge-ca bridge-root bridge-rsa; do
    bridge "$issuer" "$WORK/$issuer"
    CA=$WORK/bridge-root/ca.crt
    [ "$issuer" = bridge-rsa ] && CA=$WORK/bridge-rsa/ca.crt
    for version in 1.3 1.2; do
        for host in 10.9.8.7 '[fd00::5]' node-1.example; do
            matches "$issuer: curl, TLS $version, $host" "^client=kube-apiserver alpn=http/1.1 version=TLSv$version\$" \
                "$(through "$PORT" "$CA" "https://$host:10250/" --http1.1 --tls-max "$version" "${CLIENT[@]}")"
        done
        said=$(s_client "$PORT" "$CA" 10.9.8.7 -verify_ip 10.9.8.7 "-tls${version/./_}" -showcerts)
        matches "$issuer: s_client, TLS $version, an address" '^Verification: OK' "$said"
        said=$(s_client "$PORT" "$CA" node-1.example -verify_hostname node-1.example "-tls${version/./_}")
        matches "$issuer: s_client, TLS $version, a name" '^Verified peername: node-1.example' "$said"
    done
    # The chain alone, to openssl verify and to x509.Verify.
    s_client "$PORT" "$CA" 10.9.8.7 -showcerts | sed -n '/^-----BEGIN CERT/,/^-----END CERT/p' >"$WORK/$issuer.pem"
    check "$issuer: openssl verify, an address" openssl verify -x509_strict -purpose sslserver -verify_ip 10.9.8.7 -CAfile "$CA" \
        -untrusted "$WORK/$issuer.pem" "$WORK/$issuer.pem" >"$WORK/verify.log" 2>&1
    refute "$issuer: openssl verify, another address" openssl verify -purpose sslserver -verify_ip 10.9.8.8 -CAfile "$CA" \
        -untrusted "$WORK/$issuer.pem" "$WORK/$issuer.pem" >"$WORK/verify.log" 2>&1
    s_client "$PORT" "$CA" node-1.example -showcerts | sed -n '/^-----BEGIN CERT/,/^-----END CERT/p' >"$WORK/$issuer-name.pem"
    check "$issuer: openssl verify, a name" openssl verify -x509_strict -purpose sslserver -verify_hostname node-1.example -CAfile "$CA" \
        -untrusted "$WORK/$issuer-name.pem" "$WORK/$issuer-name.pem" >"$WORK/verify.log" 2>&1
    [ -n "$GO" ] || continue
    check "$issuer: x509.Verify, an address" "$WORK/bridgeclient" verify -ca "$CA" "$WORK/$issuer.pem" 10.9.8.7
    check "$issuer: x509.Verify, a name" "$WORK/bridgeclient" verify -ca "$CA" "$WORK/$issuer-name.pem" node-1.example
    refute "$issuer: x509.Verify, another address" "$WORK/bridgeclient" verify -ca "$CA" "$WORK/$issuer.pem" 10.9.8.8 2>/dev/null
    for host in 10.9.8.7 '[fd00::5]' node-1.example; do
        for early in false true; do # true: the hello comes with the CONNECT
            matches "$issuer: Go, $host, early $early" '^client=kube-apiserver alpn= version=TLSv1.3$' \
                "$(go_connect "$PORT" "$CA" "$host:10250" "${GOCLIENT[@]}" "-early=$early")"
        done
    done
done

# Who is refused, by whom.
bridge refusals "$WORK/bridge-ca"
CA=$WORK/bridge-root/ca.crt
matches "no client certificate" 'alert' "$(through "$PORT" "$CA" https://10.9.8.7/ --http1.1)"
matches "a client of another CA" 'unknown ca' \
    "$(through "$PORT" "$CA" https://10.9.8.7/ --http1.1 --cert "$WORK/egress.crt" --key "$WORK/egress.key")"
matches "another CA is expected" 'unable to get (local )?issuer|self.signed' \
    "$(through "$PORT" "$WORK/rogue-ca/ca.crt" https://10.9.8.7/ --http1.1 "${CLIENT[@]}")"
matches "another name is expected" 'does not match|no alternative certificate subject name matches' \
    "$(through "$PORT" "$CA" https://other.example/ --http1.1 --connect-to other.example:443:10.9.8.7:443 "${CLIENT[@]}")"
matches "a host that is none" '502' "$(through "$PORT" "$CA" https://UPPER.example/ "${CLIENT[@]}")"

# The protocol inside, as server.
matches "both are offered" '^ALPN protocol: h2' "$(s_client "$PORT" "$CA" 10.9.8.7 -alpn http/1.1,h2)"
matches "one is offered" '^ALPN protocol: http/1.1' "$(s_client "$PORT" "$CA" 10.9.8.7 -alpn http/1.1,h3)"
matches "nothing is offered" '^No ALPN negotiated' "$(s_client "$PORT" "$CA" 10.9.8.7)"
matches "nothing of ours is offered" 'alert no application protocol' "$(s_client "$PORT" "$CA" 10.9.8.7 -alpn h3)"
if [ -n "$GO" ]; then
    matches "Go offers both" 'alpn=h2 ' "$(go_connect "$PORT" "$CA" 10.9.8.7:1 "${GOCLIENT[@]}" -alpn http/1.1,h2)"
    matches "Go offers nothing of ours" 'no application protocol' "$(go_connect "$PORT" "$CA" 10.9.8.7:1 "${GOCLIENT[@]}" -alpn h3)"
    matches "Go expects another name" 'certificate is valid for 10.9.8.7, not 10.9.8.8' \
        "$(go_connect "$PORT" "$CA" 10.9.8.7:1 "${GOCLIENT[@]}" -name 10.9.8.8)"
fi

# And as client.
chooses() { # chooses SENTENCE ADDRESS:PORT ALPN PATTERN
    matches "$1" "$4" "$("$END" connect "${2%:*}" "${2#*:}" "$WORK/front-ca/ca.crt" n1.example "$3" 2>&1)"
}
server() { # server NAME COMMAND...: listens on 127.0.0.1:$PORT
    start "$@"
    wait_for 10 listens 127.0.0.1 "$PORT" || die "$1 did not start"
}
as_client() { # as_client NAME BEST: of a server that prefers BEST and knows http/1.1
    chooses "$1: both are offered" "127.0.0.1:$PORT" h2,http/1.1 "^version=TLSv1.3 alpn=$2\$"
    chooses "$1: one is offered" "127.0.0.1:$PORT" http/1.1 '^version=TLSv1.3 alpn=http/1.1$'
    chooses "$1: nothing is offered" "127.0.0.1:$PORT" - '^version=TLSv1.3 alpn=$'
}
PORT=$(free_port)
server s_server openssl s_server -accept "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key" -alpn h2,http/1.1 -quiet
as_client s_server h2
PORT=$(free_port)
server s_server-1 openssl s_server -accept "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key" -alpn http/1.1 -quiet
as_client s_server-1 http/1.1
PORT=$(free_port)
server s_server-0 openssl s_server -accept "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key" -quiet
chooses "a server that chooses nothing" "127.0.0.1:$PORT" h2,http/1.1 '^version=TLSv1.3 alpn=$'
PORT=$(free_port)
server s_server-h3 openssl s_server -accept "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key" -alpn h3 -quiet
chooses "a server that refuses" "127.0.0.1:$PORT" h2,http/1.1 '^tls_alert: alert 120 no_application_protocol'
if [ -n "$GO" ]; then
    PORT=$(free_port)
    server go "$WORK/bridgeclient" serve -address "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key" -alpn h2,http/1.1
    as_client go h2
    PORT=$(free_port)
    server go-0 "$WORK/bridgeclient" serve -address "127.0.0.1:$PORT" -cert "$WORK/s.crt" -key "$WORK/s.key"
    chooses "Go that chooses nothing" "127.0.0.1:$PORT" h2,http/1.1 '^version=TLSv1.3 alpn=$'
fi
if command -v nginx >/dev/null; then
    for http2 in http2 ''; do
        PORT=$(free_port)
        cat >"$WORK/nginx$http2.conf" <<CONF
daemon off;
user root;
worker_processes 1;
pid $WORK/nginx$http2.pid;
error_log $WORK/nginx-error$http2.log info;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path $WORK/t0; proxy_temp_path $WORK/t1; fastcgi_temp_path $WORK/t2; uwsgi_temp_path $WORK/t3; scgi_temp_path $WORK/t4;
  server { listen 127.0.0.1:$PORT ssl $http2; ssl_certificate $WORK/s.crt; ssl_certificate_key $WORK/s.key; ssl_protocols TLSv1.2 TLSv1.3; }
}
CONF
        server "nginx$http2" nginx -c "$WORK/nginx$http2.conf" -e "$WORK/nginx-error$http2.log"
        as_client "nginx $http2" "$([ -n "$http2" ] && echo h2 || echo http/1.1)"
    done
else
    echo "no nginx here: its choice of a protocol was NOT tested" >&2
fi

for bridge in "${BRIDGES[@]}"; do # a leak is an exit code
    stop "$bridge" TERM
    equal "exit code of a bridge" 0 $?
done
