#!/usr/bin/env bash
# The program by the name proxy-server, with the arguments of a static pod: its flags and defaults beside the original's, what it
# refuses, its ports, probes and metrics, an agent, and how it ends. Where Go and the modules are, the original and the
# original's agent are beside it; without them those parts are left out, and said so.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"

make_pki
ln -s "$HAWSER_BUILD/hawser" "$WORK/proxy-server"
chmod 0644 "$WORK/front.key" # as a Secret is in its container
# Without Go a script is skipped as a whole; this one has much to say without.
GO_PROGRAM=$(
    trap - EXIT
    . "$HAWSER_SOURCE/test/integration/go_program.sh"
    build_program konnectivity "what proxy-server is compared with" && echo "$PROGRAM"
) || GO_PROGRAM=
[ -n "$GO_PROGRAM" ] || echo "left out: everything that is compared with the original, and agents"

AGENTS=$(free_port) HEALTH=$(free_port) PAGES=$(free_port) FRONT=$(free_port)
SOCKET=$WORK/run/konnectivity.sock
mkdir "$WORK/run"
POD=(--logtostderr=true --log-file-max-size=0 --uds-name="$SOCKET" --delete-existing-uds-file --cluster-cert="$WORK/front.crt"
    --cluster-key="$WORK/front.key" --cluster-ca-cert="$WORK/front-ca/ca.crt" --server-port=0 --agent-port="$AGENTS"
    --health-port="$HEALTH" --admin-port="$PAGES" --admin-bind-address= --mode=http-connect --proxy-strategies=destHost,default
    --server-id=pod --keepalive-time=30s --frontend-keepalive-time=1h --xfr-channel-size=150 -v=4)

# -- flags ---------------------------------------------------------------------------------------------------------------------

refused() { # refused SENTENCE PATTERN ARGUMENT...
    local sentence=$1 pattern=$2 said
    shift 2
    said=$(timeout 20 "$WORK/proxy-server" "$@" 2>&1)
    equal "$sentence: the exit code" 1 $?
    matches "$sentence" "^proxy-server: $pattern" "$said"
    equal "$sentence: one line" 1 "$(wc -l <<<"$said")"
}
refused "an unknown flag is named" 'found --uds-nam, which is no flag' --uds-nam=x
refused "a port of the system is refused" '--agent-port: found 443, expected 1024 to 49151' "${POD[@]}" --agent-port=443
refused "a certificate without its key is refused" '--cluster-key: found nothing' "${POD[@]}" --cluster-key=
refused "TCP without a CA is refused" '--server-ca-cert: found nothing' --cluster-cert="$WORK/front.crt" --cluster-key="$WORK/front.key"
refused "what is wrong inside a file is told" 'flags:[0-9]+:[0-9]+: listeners\[1\]\.tls\.certificateFile: found .*no certificate in it' \
    "${POD[@]}" --cluster-cert="$WORK/front.key"

"$WORK/proxy-server" "${POD[@]}" --cluster-cert="$WORK/front.key" --print-config >/dev/null 2>&1
equal "--print-config tells it, too" 1 $?

original_flags() { # of cobra's usage: name and default
    sed -nE 's/^ +(-[a-z], )?--([a-z-]+)( .*|$)/\2 \3/p' | awk '{ name = $1; value = ""; if (match($0, /\(default [^)]*\)$/)) {
        value = substr($0, RSTART + 9, RLENGTH - 10); gsub(/"/, "", value) } print name "=" value }' | sort
}
our_flags() {
    sed -nE 's/^ +(-[a-z], )?--([a-z-]+)( .*|$)/\2 \3/p' | awk '{ name = $1; value = ""; if (match($0, /\([^()]*\)$/)) {
        value = substr($0, RSTART + 1, RLENGTH - 2) } print name "=" value }' | sort
}
plain() { # durations and file sizes as both write them; false is what a boolean is without a default, 0 what a number is
    sed -E 's/=(1h)0m0s$/=\1/; s/=(false|0|0s|\[\])$/=/; s/^server-id=.*/server-id=/; s/^legacy-stderr.*/legacy-stderr=/
        s/^log-backtrace-at=:0$/log-backtrace-at=/'
}
if [ -n "$GO_PROGRAM" ]; then
    PROXY_SERVER_ID='' "$GO_PROGRAM" proxy-server --help 2>&1 | original_flags | plain >"$WORK/theirs.flags"
    "$WORK/proxy-server" --help | our_flags | plain >"$WORK/ours.flags"
    check "the original has flags" [ "$(wc -l <"$WORK/theirs.flags")" -gt 40 ]
    # Hidden, because deprecated, or younger or older than the module; and ours.
    equal "flags and defaults are the original's" "" "$(diff "$WORK/theirs.flags" "$WORK/ours.flags" | grep '^[<>]' |
        grep -vE '^> (warn-on-channel-limit=true|print-config=|alsologtostderrthreshold=|legacy-stderr=)$')"
fi

# -- start ---------------------------------------------------------------------------------------------------------------------

check "the equivalent configuration is one" bash -c '"$0" "${@:2}" --print-config >"$1" && "$HAWSER_BUILD/hawser" check --config "$1" >/dev/null' \
    "$WORK/proxy-server" "$WORK/printed.yaml" "${POD[@]}"
python3 - "$SOCKET" <<'PY' # left over from a process that died
import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])
PY
RUN=(env ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=8:${ASAN_OPTIONS:-}" UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}")
begin() { # begin FLAG...: of the pod, in $SERVER
    start hawser "${RUN[@]}" "$WORK/proxy-server" "${POD[@]}" "$@"
    SERVER=$PID
    wait_for 20 curl -fsS -m 2 "http://127.0.0.1:$HEALTH/healthz" -o /dev/null || die "proxy-server does not answer on its health port"
}
begin
page() { curl -sS -m 10 -w '\n%{http_code}' "http://$1"; }
equal "liveness" $'ok\n200' "$(page "127.0.0.1:$HEALTH/healthz")"
equal "IPv6 is served by the same listener" $'ok\n200' "$(page "[::1]:$HEALTH/healthz")"
for path in readyz ready; do
    matches "/$path without an agent: words" '^no connection to any proxy agent$' "$(page "127.0.0.1:$HEALTH/$path" | head -1)"
    matches "/$path without an agent: strategies" '^destHost: 0$' "$(page "127.0.0.1:$HEALTH/$path")"
    equal "/$path without an agent: status" 500 "$(page "127.0.0.1:$HEALTH/$path" | tail -1)"
done
equal "the health port has no status page" 404 "$(page "127.0.0.1:$HEALTH/statusz" | tail -1)"
for path in debug/pprof debug/pprof/ debug/pprof/profile?seconds=1; do
    equal "/$path is not here" 501 "$(page "127.0.0.1:$PAGES/$path" | tail -1)"
done
check "agents' port is open" listens '*' "$AGENTS"
check "the admin port is open on every address" listens '*' "$PAGES"
equal "the socket's mode is what a umask of 0007 gives" 770 "$(stat -c %a "$SOCKET")"
for port in "$HEALTH" "$PAGES"; do
    curl -sS -m 10 "http://127.0.0.1:$port/metrics" >"$WORK/ours.metrics"
    check "metrics on port $port" grep -q '^konnectivity_network_proxy_server_ready_backend_connections 0$' "$WORK/ours.metrics"
    check "hawser's own beside them" grep -q '^hawser_workers ' "$WORK/ours.metrics"
    check "and the process's" grep -qE '^process_resident_memory_bytes [0-9]{6,}$' "$WORK/ours.metrics"
done
# connect SOCKET HOST:PORT: the answer to CONNECT, and behind 200 the first line of the answer to a request
connect() {
    timeout 30 python3 - "$1" "$2" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(f"CONNECT {sys.argv[2]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
answer = s.makefile("rb")
status = answer.readline().decode().split()[1]
print(status)
if status == "200":
    while answer.readline().strip():
        pass
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    print(answer.readline().decode().strip())
PY
}
equal "no agent, no tunnel" 503 "$(connect "$SOCKET" 10.0.0.1:443)"
start second "${RUN[@]}" "$WORK/proxy-server" "${POD[@]}" --agent-port="$(free_port)" --health-port="$(free_port)" --admin-port="$(free_port)"
wait "$PID"
equal "a socket in use is not taken away" 1 $?
check "and the reason is logged" grep -q 'Address already in use' "$WORK/second.log"

# -- an agent ------------------------------------------------------------------------------------------------------------------

agent() { # agent NAME PORT: the original's, towards that port
    start "$1" "$GO_PROGRAM" proxy-agent --proxy-server-host=127.0.0.1 --proxy-server-port="$2" --ca-cert="$WORK/front-ca/ca.crt" \
        --agent-cert="$WORK/apiserver.crt" --agent-key="$WORK/apiserver.key" --health-server-port="$(free_port)" \
        --admin-server-port="$(free_port)" --sync-interval=100ms --agent-identifiers='host=127.0.0.1' --v=2
}
ready() { [ "$(page "127.0.0.1:$1/readyz" | tail -1)" = 200 ]; }
pages_metric() { curl -sS -m 10 "http://127.0.0.1:$PAGES/metrics" | awk -v want="konnectivity_network_proxy_server_$1" '$1 == want { print $2 }'; }
scenario() { # scenario SOCKET PORT: a request that is answered, one that is refused, through the agent
    matches "a tunnel through the agent" '^HTTP/1.0 200' "$(connect "$1" "127.0.0.1:$2")"
    equal "a refused one" 502 "$(connect "$1" "127.0.0.1:$(free_port)")"
    sleep 0.2 # the original closes behind the answer
}
if [ -n "$GO_PROGRAM" ]; then
    TARGET=$(free_port)
    start target python3 -m http.server --bind 127.0.0.1 "$TARGET"
    wait_for 20 listens 127.0.0.1 "$TARGET" || die "no target"
    agent agent "$AGENTS"
    check "ready with an agent" wait_for 30 ready "$HEALTH"
    equal "the agent is counted, deprecated" 1 "$(pages_metric ready_backend_connections)"
    equal "and by strategy" 1 "$(pages_metric 'ready_backends{proxy_strategy="destHost"}')"
    scenario "$SOCKET" "$TARGET"
    curl -sS -m 10 "http://127.0.0.1:$PAGES/metrics" >"$WORK/ours.metrics"
    check "the dials are in the histogram" [ "$(pages_metric dial_duration_seconds_count)" -ge 1 ]
    check "refusals are counted" [ "$(pages_metric 'dial_failure_count{reason="error_response"}')" -ge 1 ]
    check "and packets" [ "$(pages_metric 'stream_packets_total{packet_type="DIAL_RSP",segment="from_agent"}')" -ge 2 ]

    THEIRS=$(free_port) THEIR_HEALTH=$(free_port)
    start original "$GO_PROGRAM" proxy-server "${POD[@]}" --uds-name="$WORK/run/original.sock" --agent-port="$THEIRS" \
        --health-port="$THEIR_HEALTH" --admin-port="$(free_port)" # a flag that comes twice: the last one counts
    wait_for 20 curl -fsS -m 2 "http://127.0.0.1:$THEIR_HEALTH/healthz" -o /dev/null || die "the original does not start"
    agent original-agent "$THEIRS"
    check "the original is ready, too" wait_for 30 ready "$THEIR_HEALTH"
    scenario "$WORK/run/original.sock" "$TARGET"
    curl -sS -m 10 "http://127.0.0.1:$THEIR_HEALTH/metrics" >"$WORK/theirs.metrics"
    equal "metrics are the original's" "" "$(python3 "$HERE/compare_metrics.py" "$WORK/theirs.metrics" "$WORK/ours.metrics" 2>"$WORK/compared")"
    matches "with all that the original counts here" ' (1[0-9]|[2-9][0-9])? families|^1[0-9] families' "$(cat "$WORK/compared")"
fi

# -- the end -------------------------------------------------------------------------------------------------------------------

ended() { # ended SENTENCE SECONDS_MAX CODE
    local begun=$SECONDS
    wait "$SERVER"
    equal "$1: the exit code" "$3" $?
    check "$1: in time" [ $((SECONDS - begun)) -le "$2" ]
    no_sanitizer_spoke
}
kill -TERM "$SERVER"
ended "without a graceful timeout it ends at once" 5 0
refute "the socket is gone" [ -e "$SOCKET" ]
if [ -n "$GO_PROGRAM" ]; then # a connection that is used once a second, and ends when $WORK/over is there
    cat >"$WORK/talk.py" <<'PY'
import os, socket, sys, threading, time
work, path = sys.argv[1:]
peer = socket.create_server(("127.0.0.1", 0))
def echo():
    other, _ = peer.accept()
    while data := other.recv(4096):
        other.sendall(data)
threading.Thread(target=echo, daemon=True).start()
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(path)
target = "%s:%d" % peer.getsockname()
s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
assert s.recv(4096).startswith(b"HTTP/1.1 200")
for turn in range(300):
    s.sendall(b"%d." % turn)
    assert s.recv(4096) == b"%d." % turn
    print(turn, flush=True)
    if os.path.exists(work + "/over"):
        break
    time.sleep(0.1)
PY
    turns() { wc -l <"$WORK/talk.log"; }
    more_turns() { [ "$(turns)" -ge "$1" ]; }
    draining() { # draining: an agent, a connection through it, and SIGTERM
        begin --graceful-shutdown-timeout=60s
        wait_for 30 ready "$HEALTH" || fail "no agent"
        rm -f "$WORK/over"
        start talk python3 "$WORK/talk.py" "$WORK" "$SOCKET"
        TALK=$PID
        wait_for 20 more_turns 3 || fail "the connection says nothing: $(cat "$WORK/talk.log")"
        kill -TERM "$SERVER"
        sleep 0.3
    }
    draining
    refute "probes fail while it drains" curl -fsS -m 2 "http://127.0.0.1:$HEALTH/readyz" -o /dev/null 2>/dev/null
    NOW=$(turns)
    check "with a graceful timeout a connection goes on" wait_for 20 more_turns $((NOW + 10))
    touch "$WORK/over"
    wait "$TALK"
    equal "and ends by itself" 0 $?
    ended "when it is over" 10 0
    draining
    kill -TERM "$SERVER"
    wait "$SERVER"
    equal "a second signal ends all at once" 1 $?
    kill "$TALK" 2>/dev/null
fi

# -- TCP -----------------------------------------------------------------------------------------------------------------------

start hawser "${RUN[@]}" "$WORK/proxy-server" --server-cert="$WORK/front.crt" --server-key="$WORK/front.key" --server-ca-cert="$WORK/front-ca/ca.crt" \
    --cluster-cert="$WORK/front.crt" --cluster-key="$WORK/front.key" --cluster-ca-cert="$WORK/front-ca/ca.crt" --server-port="$FRONT" \
    --agent-port="$(free_port)" --health-port="$HEALTH" --admin-port="$PAGES" --server-bind-address=127.0.0.1 --v=1 \
    --cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
SERVER=$PID
wait_for 20 listens 127.0.0.1 "$FRONT" || die "the front is not open"
front() { curl -sS -m 20 -o /dev/null -w '%{http_connect}' -p -x "https://127.0.0.1:$FRONT" --proxy-cacert "$WORK/front-ca/ca.crt" "$@" http://10.0.0.1:443/ 2>&1; }
matches "any certificate of the CA may come" '503$' "$(front --proxy-cert "$WORK/apiserver.crt" --proxy-key "$WORK/apiserver.key")"
lacks "none may not" '503' "$(front)"
handshake() { openssl s_client -connect "127.0.0.1:$FRONT" -CAfile "$WORK/front-ca/ca.crt" -cert "$WORK/apiserver.crt" -key "$WORK/apiserver.key" "$@" </dev/null 2>&1; }
matches "TLS 1.2 with a suite that is listed" 'Cipher is ECDHE-[A-Z]+-AES256-GCM-SHA384' "$(handshake -tls1_2)"
lacks "TLS 1.2 with one that is not" 'Cipher is ECDHE' "$(handshake -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256)"
matches "TLS 1.3 has its own" 'Cipher is TLS_AES' "$(handshake -tls1_3)"
check "what is left out is said" grep -q 'those with CBC or ChaCha20 are not here' "$WORK/hawser.log"
lacks "no line for each connection at -v=1" 'event=access' "$(cat "$WORK/hawser.log")"
kill -TERM "$SERVER"
ended "over TCP" 5 0
