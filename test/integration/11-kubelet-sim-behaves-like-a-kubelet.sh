#!/usr/bin/env bash
# kubelet-sim, judged by curl and openssl: identity per address, 401 as a kubelet gives it, sessions that resume where
# they should and nowhere else, log lines as they are flushed, every fault, and the ledger.
. "$(dirname "$0")/lib.sh"
sim=$HAWSER_BUILD/tools/kubelet-sim
pki=$HAWSER_BUILD/tools/hawser-pki
cd "$WORK" || exit 1
port=$(free_port)
url() { echo "https://127.16.0.$1:$port$2"; }
get() { curl -sS --max-time 10 --cacert ca.crt --cert client.crt --key client.key "$@" 2>&1; }
stranger() { curl -sS --max-time 10 --cacert ca.crt "$@" 2>&1; }
status() { curl -sS --max-time 5 --unix-socket status.sock "http://x$1" "${@:2}"; }
counter() { status /status | jq -r ".$1"; }

"$pki" ca --out . --name "cluster CA" --quiet
"$pki" client --ca . --cn admin --org system:masters --out client --quiet
"$pki" ca --out other --quiet
"$pki" client --ca other --cn admin --org system:masters --out foreign --quiet
"$pki" ca --out intermediate --ca . --name between --quiet
"$pki" client --ca intermediate --cn deep --out deep --quiet
"$pki" client --ca . --cn late --expired --out late --quiet
echo s3cret >tokens
start sim "$sim" --ca . --token-file tokens --count 300 --port "$port" --threads 2 --status "$WORK/status.sock" \
    --ready-file ready --pid-file pid --log-lines 200 --log-interval 50ms --idle-timeout 1500ms
simulator=$PID
wait_for 20 test -s ready || die "the simulator is not ready"
equal "the ready line" "kubelet-sim: 300 kubelets on 127.16.0.1..127.16.1.44:$port ready" "$(cat sim.log)"
equal "the pid file" "$simulator" "$(cat pid)"
equal "a port in use is said so" 1 "$("$sim" --port "$port" >busy.txt 2>&1; echo $?)"

# Who is who.
for n in 1 7 255; do
    equal "the node at .$n" "node-$(printf %05d "$n") 127.16.0.$n" "$(get "$(url "$n" /whoami)" | jq -r '.node + " " + .address')"
done
equal "the node past .255" node-00300 "$(get "https://127.16.1.44:$port/whoami" | jq -r .node)"
matches "nobody lives outside the fleet" "SSL_connect|reset|unexpected eof|empty reply" "$(stranger -k "https://127.16.1.45:$port/" )"
cert=$(openssl s_client -connect "127.16.0.9:$port" </dev/null 2>/dev/null | openssl x509 -noout -subject -ext subjectAltName,extendedKeyUsage)
matches "the certificate names the node" "O = system:nodes, CN = system:node:node-00009" "$cert"
matches "and its address" "IP Address:127.16.0.9" "$cert"

# Who may ask.
whoami=$(get "$(url 3 /whoami)" "$(url 3 /whoami)")
matches "the client is known" '"client_cn":"admin","client_o":\["system:masters"\]' "$whoami"
matches "requests on a connection are counted" '"connection":2,"request":2' "$(get "$(url 7 /whoami)" "$(url 7 /whoami)")"
equal "no certificate: the handshake succeeds and the answer is 401" "Unauthorized 401" "$(stranger -w ' %{http_code}' "$(url 3 /pods)" | tr -d '\n')"
equal "a foreign certificate" 401 "$(stranger -o body -w '%{http_code}' --cert foreign.crt --key foreign.key "$(url 3 /pods)")"
equal "an expired certificate" 401 "$(stranger -o body -w '%{http_code}' --cert late.crt --key late.key "$(url 3 /pods)")"
equal "a chain through an intermediate" 200 "$(stranger -o body -w '%{http_code}' --cert deep.crt --key deep.key "$(url 3 /healthz)")"
equal "a token" 200 "$(stranger -o body -w '%{http_code}' -H 'Authorization: Bearer s3cret' "$(url 3 /healthz)")"
equal "a wrong token" 401 "$(stranger -o body -w '%{http_code}' -H 'Authorization: Bearer s3cre' "$(url 3 /healthz)")"

# Endpoints.
equal "healthz" "ok" "$(get "$(url 2 /healthz)")"
equal "pods of the node" 30 "$(get "$(url 2 /pods)" | jq '[.items[] | select(.spec.nodeName == "node-00002")] | length')"
equal "stats" node-00002 "$(get "$(url 2 /stats/summary)" | jq -r .node.nodeName)"
check "configz is JSON" jq -e .kubeletconfig <<<"$(get "$(url 2 /configz)")" >/dev/null
matches "metrics/resource" 'node_cpu_usage_seconds_total\{node="node-00002"\}' "$(get "$(url 2 /metrics/resource)")"
matches "metrics" '^kubelet_running_pods 30' "$(get "$(url 2 /metrics)")"
equal "an unknown path" 404 "$(get -o body -w '%{http_code}' "$(url 2 /nothing)")"
equal "a method that is not allowed" 405 "$(get -o body -w '%{http_code}' -X DELETE "$(url 2 /pods)")"
equal "exec without upgrade" 400 "$(get -o body -w '%{http_code}' -X POST "$(url 2 /exec/ns/pod/c?command=ls)")"
equal "bytes, plain and chunked" "$(get "$(url 2 /bytes/3000001)" | sha256sum)" "$(get "$(url 2 '/bytes/3000001?chunked=1')" | sha256sum)"
equal "bytes are counted" 3000001 "$(get "$(url 2 /bytes/3000001)" | wc -c)"
matches "HEAD tells the length" "Content-Length: 77" "$(get -I "$(url 2 /bytes/77)")"
head -c 2000000 /dev/urandom >random
get --data-binary @random -H 'Expect:' -o echoed "$(url 2 /echo)"
check "echo of a body with a length" cmp random echoed
get -T - -X POST -o echoed "$(url 2 /echo)" <random
check "echo of a chunked body, asked with Expect: 100-continue" cmp random echoed
equal "sink" "2000000 $(sha256sum <random | cut -d' ' -f1)" "$(get -T - -X POST "$(url 2 /sink)" <random | jq -r '"\(.length) \(.sha256)"')"

# Raw HTTP over TLS: speak STDIN ADDRESS. Stays until the server closes or a second has passed.
speak() { { cat; sleep 1; } | timeout 5 openssl s_client -quiet -connect "127.16.0.$1:$port" -cert client.crt -key client.key 2>/dev/null; }
request='GET /healthz HTTP/1.1\r\nHost: x\r\n'
equal "pipelined requests are all answered" 3 "$(printf "$request\r\n$request\r\n${request}Connection: close\r\n\r\n" | speak 4 | grep -ac 'HTTP/1.1 200')"
matches "two framings are refused" "400 Bad Request" "$(printf 'POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' | speak 4)"
matches "an upgrade" "101 Switching Protocols" "$(printf 'POST /exec/a/b/c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello tunnel' | speak 4)"
matches "and what is sent through it comes back" "hello tunnel" "$(printf 'POST /exec/a/b/c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello tunnel' | speak 4)"

# Idle connections end after --idle-timeout, with close_notify.
begin=$(date +%s%N)
printf "$request\r\n" | { cat; sleep 4; } | timeout 8 openssl s_client -quiet -ign_eof -connect "127.16.0.5:$port" -cert client.crt -key client.key >/dev/null 2>&1 &
idler=$!
idle_was_closed() { [ "$(counter idle_closes)" -ge 1 ]; }
check "an idle connection is closed" wait_for 4 idle_was_closed
check "and not at once" test $((($(date +%s%N) - begin) / 1000000)) -ge 1400
wait "$idler"

# Logs: a chunk and a record per line.
log=$(url 6 /containerLogs/ns/pod/c)
equal "all lines" 200 "$(get "$log" | wc -l)"
equal "the last three" "197 198 199" "$(get "$log?tailLines=3" | grep -o 'line=[0-9]*' | cut -d= -f2 | xargs)"
equal "limitBytes" 100 "$(get "$log?limitBytes=100" | wc -c)"
raw=$(get --raw "$log?tailLines=20")
equal "one chunk per line" 20 "$(grep -acE '^[0-9a-f]+.$' <<<"$(grep -aE '^(4|5|6)[0-9a-f]\s?$' <<<"$raw")")"
records=$({ printf 'GET /containerLogs/ns/pod/c?tailLines=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 1; } |
    timeout 5 openssl s_client -tls1_2 -msg -connect "127.16.0.6:$port" -cert client.crt -key client.key 2>/dev/null | grep -ac '^<<<.*RecordHeader')
lines=$({ printf 'GET /containerLogs/ns/pod/c?tailLines=10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 1; } |
    timeout 5 openssl s_client -tls1_2 -msg -connect "127.16.0.6:$port" -cert client.crt -key client.key 2>/dev/null | grep -ac '^<<<.*RecordHeader')
equal "one record per line" 40 "$((records - lines))"
followed=$(timeout 1 curl -sSN --cacert ca.crt --cert client.crt --key client.key "$log?tailLines=2&follow=true" | wc -l)
check "a followed log goes on ($followed lines)" test "$followed" -ge 10 -a "$followed" -le 25

# Resumption. The client's identity is in the ticket: the second connection shows no certificate.
talk() { # talk VERSION ADDRESS s_client options...
    { printf 'GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 0.3; } |
        timeout 5 openssl s_client "$1" -CAfile ca.crt -ign_eof -msg -connect "127.16.0.$2:$port" "${@:3}" 2>/dev/null
}
tickets() { grep -ac 'NewSessionTicket' <<<"$1"; }
for v in -tls1_3 -tls1_2; do
    full=$(talk $v 8 -cert client.crt -key client.key -sess_out session$v)
    equal "$v: one ticket after a full handshake" 1 "$(tickets "$full")"
    resumed=$(talk $v 8 -sess_in session$v)
    matches "$v: resumed at the same address" '^Reused' "$resumed"
    matches "$v: with the client's identity" '"client_cn":"admin".*"resumed":true' "$resumed"
    equal "$v: tickets after resumption" $([ $v = -tls1_3 ] && echo 1 || echo 0) "$(tickets "$resumed")"
    matches "$v: a ticket may be used again" '^Reused' "$(talk $v 8 -sess_in session$v)"
    elsewhere=$(talk $v 9 -sess_in session$v)
    matches "$v: not at another address" '^New' "$elsewhere"
    matches "$v: where nobody is known" 'Unauthorized' "$elsewhere"
done
talk -tls1_3 8 -cert deep.crt -key deep.key -cert_chain deep.crt -sess_out session-deep >/dev/null
matches "the chain below an intermediate survives resumption" '"client_cn":"deep".*"resumed":true' "$(talk -tls1_3 8 -sess_in session-deep)"
status /rotate-tickets?node=node-00008 -X POST >/dev/null
matches "a rotated key still opens old tickets" '^Reused' "$(talk -tls1_3 8 -sess_in session-tls1_3)"
equal "TLS 1.2 renews a ticket of an old key" 1 "$(tickets "$(talk -tls1_2 8 -sess_in session-tls1_2)")"
status /forget-tickets?node=node-00008 -X POST >/dev/null
matches "a forgotten key does not" '^New' "$(talk -tls1_3 8 -sess_in session-tls1_3)"
lacks "h2 alone is refused" '"status"' "$(talk -tls1_3 8 -alpn h2 | grep -a 'HTTP/1.1')"
matches "http/1.1 by ALPN" 'ALPN protocol: http/1.1' "$(talk -tls1_3 8 -alpn h2,http/1.1)"

# Faults, replaced at run time.
equal "a set that makes no sense is refused" 400 "$(status /faults -d 'node-1:frob' -o /dev/null -w '%{http_code}')"
status /faults --data-binary @- -o /dev/null <<'SPECS'
127.16.0.10:delay=300
127.16.0.11:error=503
127.16.0.12:reset
127.16.0.13:reset-head
127.16.0.14:reset-body=5
127.16.0.15:drip=100
127.16.0.16:blackhole
127.16.0.17:blackhole-http
127.16.0.18:truncate
127.16.0.19:garbage
127.16.0.20:tls12-only
127.16.0.21:no-tickets
127.16.0.22:wrong-ca
127.16.0.23:expired
127.16.0.24:wrong-ip
127.16.0.25:self-signed
node-00026:wrong-node
127.16.0.27:idle-close
node-0003*:error=500:50%
127.16.0.64/26:error=429:50%n
SPECS
code() { get -o body -w '%{http_code} %{exitcode}' --max-time "${2:-5}" "$(url "$1" /bytes/60)" | tail -1; }
took=$(get -o body -w '%{time_starttransfer}' "$(url 10 /bytes/60)")
check "delay ($took s)" awk "BEGIN { exit !($took >= 0.3 && $took < 3) }"
equal "error" "503 0" "$(code 11)"
equal "reset" "000 56" "$(code 12)"
matches "reset-head" "56$" "$(code 13)"
equal "reset-body" "200 56" "$(code 14)"
equal "reset-body leaves five bytes" 5 "$(wc -c <body)"
took=$(get -o body -w '%{time_total}' "$(url 15 /healthz)")
check "drip ($took s)" awk "BEGIN { exit !($took >= 0.8) }"
equal "blackhole" "000 28" "$(code 16 1)"
equal "blackhole-http" "000 28" "$(code 17 1)"
equal "truncate" "200 18" "$(code 18)"
equal "truncate leaves half" 30 "$(wc -c <body)"
equal "garbage" "000 1" "$(code 19)"
matches "tls12-only" '"tls":"TLSv1.2"' "$(get "$(url 20 /whoami)")"
equal "no-tickets" 0 "$(tickets "$(talk -tls1_3 21)")"
for n in 22 23 24 25; do equal "bad certificate at .$n" "000 60" "$(code $n)"; done
matches "wrong-node" "CN = system:node:node-00025" "$(openssl s_client -connect "127.16.0.26:$port" </dev/null 2>/dev/null | openssl x509 -noout -subject)"
equal "idle-close: no connection is used twice" "1 1" "$(get -o body -o body -w '%{num_connects} ' "$(url 27 /healthz)" "$(url 27 /healthz)" | xargs)"
half=0
for _ in $(seq 40); do [ "$(get -o body -w '%{http_code}' "$(url 31 /healthz)")" = 500 ] && half=$((half + 1)); done
check "a probability of one half ($half of 40)" test "$half" -ge 8 -a "$half" -le 32
always=$(for n in $(seq 64 2 126); do get -o body -w '%{http_code}\n' "$(url "$n" /healthz)"; done | grep -c 429)
again=$(for n in $(seq 64 2 126); do get -o body -w '%{http_code}\n' "$(url "$n" /healthz)"; done | grep -c 429)
equal "a share of nodes stays the same nodes" "$always" "$again"
check "and is about that share ($always of 32)" test "$always" -ge 6 -a "$always" -le 26
status /faults -X DELETE >/dev/null
equal "faults can be taken away" "200 0" "$(code 22)"

# Side effects.
for id in a b b; do get -X POST -d x -H "X-Request-Id: $id" -o body "$(url 2 /sink)"; done
get -H "X-Request-Id: c" -o body "$(url 2 /healthz)"
equal "the ledger counts what is not idempotent" '2 3 1' "$(status /ledger | jq -r '"\(.ids) \(.effects) \(.duplicates)"')"
equal "and names who came twice" '{"id":"b","count":2,"method":"POST","node":"node-00002"}' "$(status /ledger | jq -c '.duplicated[0]')"
equal "one id" 1 "$(status /ledger?id=a | jq .count)"

# A reboot resets the node's connections, and only its.
exec 3< <(curl -sSN --cacert ca.crt --cert client.crt --key client.key "$log?follow=true" 2>&1; echo "exit $?")
follower=$!
sleep 0.3
equal "a reboot reaches one node" 1 "$(status /reboot?node=node-00006 -X POST | jq .nodes)"
matches "and cuts its connections" "exit (56|18)" "$(tail -n 1 <&3)"
exec 3<&-
wait "$follower" 2>/dev/null

equal "connections outside the fleet were counted" 1 "$(counter connections_outside)"
nothing_is_open() { [ "$(counter connections_open)" = 0 ]; }
check "nothing is open" wait_for 5 nothing_is_open
stop "$simulator"
equal "SIGTERM ends it cleanly" 0 $?
refute "the ready file is gone" test -e ready
refute "the status socket is gone" test -e status.sock

# By itself: a fleet with its own CA, lazily minted, RSA, forgetting tickets, closed to nobody.
port=$(free_port)
start own "$sim" --workdir own --key rsa2048 --mint lazy --count 5 --port "$port" --forget-tickets --rotate-tickets-every 1 --anonymous --write-ca own.crt
own=$PID
wait_for 20 grep -q ready own.log || die "the second simulator is not ready"
equal "anonymous" ok "$(curl -sS --cacert own.crt "$(url 1 /healthz)")"
equal "its own client" kubelet-sim-client "$(curl -sS --cacert own/ca.crt --cert own/client.crt --key own/client.key "$(url 2 /whoami)" | jq -r .client_cn)"
matches "RSA" "rsaEncryption" "$(openssl s_client -connect "127.16.0.2:$port" </dev/null 2>/dev/null | openssl x509 -noout -text)"
cp own.crt ca.crt
talk -tls1_3 3 -sess_out forgotten >/dev/null
matches "keys that rotate at once and forget" '^New' "$(talk -tls1_3 3 -sess_in forgotten)"
stop "$own" INT
equal "SIGINT ends it cleanly" 0 $?
for bad in "--count 0" "--fault x" "--base 1.2.3" "--frob" "--port" "--key dsa" "--rotate-tickets-every x"; do
    # shellcheck disable=SC2086
    equal "bad usage: $bad" 2 "$("$sim" $bad >usage.txt 2>&1; echo $?)"
    equal "one line: $bad" 1 "$(wc -l <usage.txt)"
done
