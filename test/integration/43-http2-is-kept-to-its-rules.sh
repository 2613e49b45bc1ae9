#!/usr/bin/env bash
# HTTP/2 by the frame: RFC 9113's rules for frames, streams and requests; then the attacks that its frames allow, each ended
# at its bound, counted and logged once, while others are served and memory stays where it was.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
PLAIN=$(free_address 10255)
start backend python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/ledger"
{
    unix_listener
    cat <<YAML
routes:
  - name: plain
    match: {cidrs: [127.64.0.0/10], ports: [10255], schemes: [http, tunnel]}
limits: {headTimeoutMs: 2000, headBytesMax: 16384, fieldsMax: 64}
pool: {connectionsPerEndpointMax: 300, waitersPerEndpointMax: 1000, waitTimeoutMs: 20000}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$PLAIN" 10255 || die "the backend did not start"
check "the rules" python3 "$HERE/http2_conformance.py" "$UNIX" "$PLAIN:10255" "$WORK/ledger"
check "the attacks" python3 "$HERE/http2_attacks.py" "$UNIX" "$PLAIN:10255" "$ADMIN" "$HAWSER" "$WORK/hawser.log"
check "no client is left" wait_for 5 metric_is hawser_front_connections 1
equal "no request is left" 0 "$(metric hawser_requests_in_flight)"
matches "malformed requests are logged with the rule" "event=request_refused .*status=400 refusal=PSEUDO_LATE" "$(cat "$WORK/hawser.log")"
matches "broken rules with their code" 'event=client_protocol_error .*code=FLOW_CONTROL_ERROR' "$(cat "$WORK/hawser.log")"
equal "a good client goes on" ok "$(via "http://$PLAIN:10255/ok")"
hawser_stop
