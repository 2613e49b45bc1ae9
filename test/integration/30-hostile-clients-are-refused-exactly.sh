#!/usr/bin/env bash
# A table of smuggling and framing attacks: each has its exact status and text, the connection ends, and the backend never
# sees what stood behind the attack.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
PLAIN=$(free_address 10255)
start backend python3 "$PEERS/backend.py" "$PLAIN" 10255 "$WORK/ledger"
usual_config "$WORK/hawser.yaml" <<YAML
limits: {headTimeoutMs: 2000, headBytesMax: 16384, fieldsMax: 64}
YAML
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$PLAIN" 10255 || die "the backend did not start"
check "the table" python3 "$HERE/hostile_clients.py" "$UNIX" "$PLAIN:10255" "$WORK/ledger"
check "no client is left" wait_for 5 metric_is hawser_front_connections 1
equal "no request is left" 0 "$(metric hawser_requests_in_flight)"
malformed=$(metric hawser_requests_malformed_total)
check "malformed requests are counted ($malformed)" [ "$malformed" -ge 60 ]
matches "and logged with the rule" "event=request_refused .*status=400 refusal=LENGTH_AND_CODING" "$(cat "$WORK/hawser.log")"
equal "a good client goes on" ok "$(via "http://$PLAIN:10255/ok")"
hawser_stop
