#!/usr/bin/env bash
# The breaker opens after failures, says so, and closes after a probe; SIGTERM lets what runs finish and nobody new in; a
# second SIGTERM ends at once.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
A=$(free_address 10255)
DOWN=$(free_address 10255)
start a python3 "$PEERS/backend.py" "$A" 10255 "$WORK/a.ledger"
usual_config "$WORK/hawser.yaml" <<YAML
pool: {breaker: {failures: 3, backoffMinMs: 1000, backoffMaxMs: 1500}}
timeouts: {drainMs: 12000}
YAML
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$A" 10255 || die "the backend did not start"

# Breaker
code() { via "$1" -o "$WORK/body" -D "$WORK/head" -w '%{http_code}'; }
for _ in 1 2 3; do equal "down: refused" 502 "$(code "http://$DOWN:10255/ok")"; done
equal "the breaker is open" 503 "$(code "http://$DOWN:10255/ok")"
matches "it says what failed last" "failing, not tried again yet.*connection refused" "$(cat "$WORK/body")"
matches "and when to come again" "Retry-After: [0-9]+" "$(cat "$WORK/head")"
equal "one breaker is open" 1 "$(metric hawser_breakers_open)"
equal "it opened once" 1 "$(metric hawser_breakers_opened_total)"
equal "another endpoint is not touched" ok "$(via "http://$A:10255/ok")"
dials=$(metric hawser_dials_total)
for _ in 1 2 3 4 5; do code "http://$DOWN:10255/ok" >/dev/null; done
check "an open breaker dials at most its probe" [ $(($(metric hawser_dials_total) - dials)) -le 1 ]
matches "statusz names it" '"lastFailure": "refused"' "$(curl -sS "http://127.0.0.1:$ADMIN/statusz")"
start down python3 "$PEERS/backend.py" "$DOWN" 10255 "$WORK/down.ledger"
is_back() { [ "$(code "http://$DOWN:10255/ok")" = 200 ]; }
check "it closes after a probe" wait_for 6 is_back
equal "no breaker is open" 0 "$(metric hawser_breakers_open)"
equal "and stays closed" 200 "$(code "http://$DOWN:10255/ok")"

# Drain: what runs is finished, idle clients are let go, nobody new comes in.
curl -sSN -m 30 --unix-socket "$UNIX" --request-target "http://$A:10255/stream?lines=60" -H "Host: $A:10255" -o "$WORK/stream" -D "$WORK/stream.head" http://x/ &
STREAM=$!
check "a stream runs" wait_for 5 grep -q 'line 001' "$WORK/stream"
python3 - "$UNIX" >"$WORK/idle" <<'PY' &
import sys
from client import connect, read_all
s = connect(sys.argv[1])
a = read_all(s, 10)
print("closed" if a.closed and not a.data else "open %r" % a.data)
PY
IDLE=$!
check "an idle client is there" wait_for 5 metric_is hawser_front_connections 3 # the stream, the idle one, the asker
begun=$(date +%s%N)
kill -TERM "$HAWSER"
is_refusing() { ! curl -s -m 2 --unix-socket "$UNIX" --request-target "http://$A:10255/ok" -H "Host: $A:10255" -f http://x/ >/dev/null 2>&1; }
check "nobody new comes in" wait_for 3 is_refusing
check "while the stream still runs" kill -0 $STREAM
check "and the broker too" kill -0 "$HAWSER"
check "idle clients are let go" wait $IDLE
equal "by a clean end" closed "$(cat "$WORK/idle")"
check "the stream is finished" wait $STREAM
equal "to its last line" "line 059" "$(tail -1 "$WORK/stream")"
wait "$HAWSER"
equal "the exit code" 0 $?
took=$((($(date +%s%N) - begun) / 1000000))
check "not before the stream ($took ms)" [ $took -gt 1000 ]
check "and soon after it ($took ms)" [ $took -lt 11000 ]
matches "it says so" "drained" "$(tail -1 "$WORK/hawser.log")"
refute "the socket is gone or dead" curl -s -m 2 --unix-socket "$UNIX" http://x/
no_sanitizer_spoke
mv "$WORK/hawser.log" "$WORK/hawser-1.log"

# What does not end is cut at drainMs.
sed -i 's/drainMs: 12000/drainMs: 1500/' "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
via "http://$A:10255/stream?lines=300" -N -o "$WORK/stream2" 2>"$WORK/curl.err" &
STREAM=$!
check "a stream runs" wait_for 5 grep -q 'line 001' "$WORK/stream2"
begun=$(date +%s%N)
stop "$HAWSER" TERM
equal "cut at the deadline: the exit code" 0 $?
took=$((($(date +%s%N) - begun) / 1000000))
check "cut at the deadline ($took ms)" [ $took -ge 1300 ]
check "and not much later ($took ms)" [ $took -lt 8000 ]
refute "a cut stream does not look complete" wait $STREAM
no_sanitizer_spoke
mv "$WORK/hawser.log" "$WORK/hawser-2.log"

# Twice: at once.
sed -i 's/drainMs: 1500/drainMs: 30000/' "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
via "http://$A:10255/stream?lines=300" -N -o "$WORK/stream3" 2>"$WORK/curl.err" &
STREAM=$!
check "a stream runs" wait_for 5 grep -q 'line 001' "$WORK/stream3"
begun=$(date +%s%N)
kill -TERM "$HAWSER"
sleep 0.5
check "one signal drains" kill -0 "$HAWSER"
stop "$HAWSER" TERM
equal "a second ends with 1" 1 $?
took=$((($(date +%s%N) - begun) / 1000000))
check "at once ($took ms)" [ $took -lt 3000 ]
wait $STREAM
mv "$WORK/hawser.log" "$WORK/hawser-3.log"

# A socket that was left behind is replaced.
hawser_start "$WORK/hawser.yaml"
stop "$HAWSER" KILL
mv "$WORK/hawser.log" "$WORK/hawser-4.log"
check "a dead socket lies there" test -S "$UNIX"
hawser_start "$WORK/hawser.yaml"
equal "and is replaced" ok "$(via "http://$A:10255/ok")"
hawser_stop
