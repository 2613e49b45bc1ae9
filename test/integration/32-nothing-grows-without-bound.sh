#!/usr/bin/env bash
# Who takes and never gives: clients that do not read, do not finish, come in crowds; backends that do not read. Memory is
# bounded, others go on, and who must be turned away is told when to come again.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
A=$(free_address 10255)
B=$(free_address 10255)
K=$(free_address 10250)
kubelet_certificate node-1 "$K"
start a python3 "$PEERS/backend.py" "$A" 10255 "$WORK/a.ledger"
start b python3 "$PEERS/backend.py" "$B" 10255 "$WORK/b.ledger"
start k python3 "$PEERS/backend.py" "$K" 10250 "$WORK/k.ledger" --tls "$WORK/node-1.crt" "$WORK/node-1.key" "$WORK/kubelet-ca/ca.crt"
usual_config "$WORK/hawser.yaml" <<YAML
pool: {connectionsPerEndpointMax: 4, waitersPerEndpointMax: 8, waitTimeoutMs: 1500}
limits: {headTimeoutMs: 1500, clientIdleTimeoutMs: 30000, connectionsMax: 200, requestsInFlightMax: 100}
YAML
hawser_start "$WORK/hawser.yaml"
for address in "$A" "$B"; do wait_for 10 listens "$address" 10255 || die "a backend did not start"; done
wait_for 10 listens "$K" 10250 || die "the kubelet did not start"
check "crowds, sleepers and drips" python3 "$HERE/crowds.py" "$UNIX" "$A:10255" "$B:10255" "$K:10250" "$HAWSER" "$ADMIN"
check "no client is left" wait_for 10 metric_is hawser_front_connections 1
equal "no request is left" 0 "$(metric hawser_requests_in_flight)"
equal "no waiter is left" 0 "$(metric hawser_pool_waiters)"
equal "a good client goes on" ok "$(via "http://$A:10255/ok")"
hawser_stop
