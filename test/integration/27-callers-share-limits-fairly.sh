#!/usr/bin/env bash
# One caller that runs away leaves a quarter of each limit to the others; alone it may have all. A refusal names its limit.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
WORKERS=1 # several that admit at the same moment may exceed a limit by one each
A=$(free_address 10255)
start backend python3 "$PEERS/backend.py" "$A" 10255 "$WORK/ledger"
hawser_config "$WORK/hawser.yaml" <<YAML
listeners:
  - {name: greedy, unix: {path: $WORK/greedy.sock}}
  - {name: late, unix: {path: $WORK/late.sock}}
routes:
  - {name: plain, match: {cidrs: [127.64.0.0/10], ports: [10255], schemes: [http, tunnel]}}
limits: {requestsInFlightMax: 12, tunnelsMax: 12}
pool: {connectionsPerEndpointMax: 64}
log: {format: json, auditFile: $WORK/audit.log}
YAML
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$A" 10255 || die "the backend did not start"
check "shares" python3 "$HERE/fair_shares.py" "$WORK/greedy.sock" "$WORK/late.sock" "$A:10255" "$ADMIN"
# All 25 tunnels and 30 refusals of the above have their line.
audited() { jq -r "select(.kind == \"$1\" and $2) | .n // 1" "$WORK/audit.log" | wc -l; }
equal "a line for each tunnel" 25 "$(audited tunnel '.status == 200 and .route == "plain" and .host == "'"$A"'" and .port == 10255 and .method == "CONNECT"')"
equal "and for each that was refused" 30 "$(audited refused '.status == 503 and .end == "limit"')"
equal "of requests as of tunnels" 15 "$(audited refused '.method == "GET" and .path == "/stream"')"
equal "by caller" 28 "$(audited refused '.listener == "greedy"')"
lacks "without the query" "lines=" "$(cat "$WORK/audit.log")"
matches "a refusal names the limit of requests" "request_refused.*requestsInFlightMax" "$(cat "$WORK/hawser.log")"
matches "and the limit of tunnels" "request_refused.*tunnelsMax" "$(cat "$WORK/hawser.log")"
hawser_stop
