#!/usr/bin/env bash
# match.clients: a route is taken by whom the kernel or a certificate says the client is, and by nobody who only calls
# himself so.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"

make_pki
BACKEND=$(free_address 10255)
PORT=$(free_port)
LOOSE=$(free_port)
ME=$(id -u)
GROUP=$(id -g)
"$PKI" client --ca "$WORK/front-ca" --cn x --dns scraper-1.monitoring --out "$WORK/scraper" --quiet
"$PKI" client --ca "$WORK/front-ca" --cn "uid:$ME" --out "$WORK/liar" --quiet
start backend python3 "$PEERS/backend.py" "$BACKEND" 10255 "$WORK/ledger"
{
    cat <<YAML
log: {auditFile: $WORK/audit.log}
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls:
      certificateFile: $WORK/front.crt
      keyFile: $WORK/front.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver, "*.monitoring", "uid:$ME"]
  - name: loose
    tcp: {address: 127.0.0.1, port: $LOOSE}
    insecure: true
routes:
  - {name: refused, match: {hosts: [for-all-but-scrapers.test], schemes: [http], clients: ["*.monitoring"]}, action: refuse}
  - {name: mine, match: {hosts: [by-uid.test], schemes: [http], clients: ["uid:$ME"]}}
  - {name: group, match: {hosts: [by-gid.test], schemes: [http], clients: ["gid:$GROUP"]}}
  - {name: other, match: {hosts: [by-other-uid.test], schemes: [http], clients: ["uid:$((ME + 1))", "gid:$((GROUP + 1))"]}}
  - {name: apiserver, match: {hosts: [by-name.test], schemes: [http], clients: [kube-apiserver]}}
  - {name: scrapers, match: {hosts: [by-wildcard.test], schemes: [http], clients: ["*.monitoring"]}}
  - {name: all, match: {cidrs: [127.64.0.0/10], schemes: [http]}}
  - {name: tunnels, match: {hosts: ["*"], cidrs: [0.0.0.0/0, "::/0", 127.64.0.0/10], schemes: [tunnel], clients: ["uid:$ME"]}}
  - {name: names, match: {hosts: ["for-all*"], schemes: [http]}}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$BACKEND" 10255 || die "the backend did not start"

status() { # status HOST CURL-OPTION...: of a request for that host
    local host=$1
    shift
    curl --http1.1 -sS -m 20 -o "$WORK/body" -w '%{http_code}' --request-target "http://$host:10255/ok" -H "Host: $host:10255" "$@" | sed 's/504/502/'
}
tls() { # tls CLIENT HOST
    status "$2" --cacert "$WORK/front-ca/ca.crt" --cert "$WORK/$1.crt" --key "$WORK/$1.key" "https://127.0.0.1:$PORT/"
}
unix() { status "$1" --unix-socket "$UNIX" http://x/; }
loose() { status "$1" "http://127.0.0.1:$LOOSE/"; }

# Names do not resolve here: 502 or 504 says that a route was found, 403 that none was.
row() { # row HOST UNIX APISERVER SCRAPER LIAR LOOSE
    equal "$1 for a process" "$2" "$(unix "$1")"
    equal "$1 for kube-apiserver" "$3" "$(tls apiserver "$1")"
    equal "$1 for a scraper" "$4" "$(tls scraper "$1")"
    equal "$1 for a certificate called uid:$ME" "$5" "$(tls liar "$1")"
    equal "$1 for nobody known" "$6" "$(loose "$1")"
}
row by-uid.test 502 403 403 403 403
row by-gid.test 502 403 403 403 403
row by-other-uid.test 403 403 403 403 403
row by-name.test 403 502 403 403 403
row by-wildcard.test 403 403 502 403 403
row for-all-but-scrapers.test 502 502 403 502 502
row "$BACKEND" 200 200 200 200 200
matches "the log names the route" "host=by-name.test .*route=apiserver " "$(cat "$WORK/hawser.log")"
matches "a client whose route is refused is told so" "a route refuses it" "$(tls scraper for-all-but-scrapers.test; cat "$WORK/body")"
# Tunnels: the same rules, also for the addresses that names resolve to.
connect() { # connect TARGET: the answer's first line
    python3 -c 'import sys; from client import Reader, connect
s = connect(sys.argv[1])
s.sendall(("CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % sys.argv[2]).encode())
print(Reader(s).until(b"\r\n\r\n").decode().splitlines()[0])' "$UNIX" "$1"
}
matches "a tunnel" "^HTTP/1.1 200" "$(connect "$BACKEND:10255")"
for target in "127.0.0.1:$ADMIN" "[::1]:$ADMIN" "[::ffff:127.0.0.1]:$ADMIN" "0.0.0.0:$ADMIN" 169.254.169.254:80 "[64:ff9b::7f00:1]:$ADMIN"; do
    matches "no tunnel to $target" "^HTTP/1.1 403 .*no route names" "$(connect "$target")"
done
matches "no tunnel to a name that resolves to such an address" "^HTTP/1.1 403 " "$(connect "localhost:$ADMIN")"
equal "for whom the route is not" 403 "$(curl -sS -m 20 -o /dev/null -w '%{http_connect}' -x "https://127.0.0.1:$PORT" --proxy-cacert "$WORK/front-ca/ca.crt" \
    --proxy-cert "$WORK/apiserver.crt" --proxy-key "$WORK/apiserver.key" -p "http://$BACKEND:10255/ok" 2>"$WORK/curl.err")"
check "an audit line of a tunnel" wait_for 10 grep -qE "kind=tunnel listener=unix peer=unix uid=$ME .*method=CONNECT host=$BACKEND port=10255 .*route=tunnels status=200 .*end=done" "$WORK/audit.log"
matches "and of one that was refused after its name was resolved" "kind=refused .*method=CONNECT host=localhost .*route=tunnels status=403 .*end=not_allowed" "$(cat "$WORK/audit.log")"
matches "an audit line says who was refused: a process" "event=audit kind=refused listener=unix peer=unix uid=$ME gid=$GROUP pid=[0-9]+ method=GET host=by-name.test port=10255 path=/ok status=403 .*end=no_route" "$(cat "$WORK/audit.log")"
matches "a client" "kind=refused listener=mtls peer=127.0.0.1:[0-9]+ client=kube-apiserver method=GET host=by-wildcard.test .*end=no_route" "$(cat "$WORK/audit.log")"
matches "by which route" "client=x .*host=for-all-but-scrapers.test .*status=403 .*end=not_allowed" "$(cat "$WORK/audit.log")"
lacks "a request that was answered has none" "method=GET .*status=200" "$(cat "$WORK/audit.log")"
equal "what audit lines go to is for its owner only" 600 "$(stat -c %a "$WORK/audit.log")"
hawser_stop
