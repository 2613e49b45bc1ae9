#!/usr/bin/env bash
# Many requests, then silence: memory is where it was after warming up, descriptors are home, and LeakSanitizer has nothing
# to say. 100,000 requests in an ordinary build; with sanitizers as many as fit into half a minute, and it says how many.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
A=$(free_address 10255)
K=$(free_address 10250)
kubelet_certificate node-1 "$K"
if [ $SANITIZED = yes ]; then SECONDS_MAX=30 COUNT=100000; else SECONDS_MAX=120 COUNT=100000; fi
start a python3 "$PEERS/quick_backend.py" "$A" 10255
start k python3 "$PEERS/quick_backend.py" "$K" 10250 "$WORK/node-1.crt" "$WORK/node-1.key" "$WORK/kubelet-ca/ca.crt"
usual_config "$WORK/hawser.yaml" <<YAML
log: {accessLog: false}
YAML
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$A" 10255 || die "the backend did not start"
wait_for 10 listens "$K" 10250 || die "the kubelet did not start"
check "many requests" python3 "$HERE/many_requests.py" "$UNIX" "http://$A:10255" "https://$K:10250" "$HAWSER" $COUNT $SECONDS_MAX $SANITIZED
check "no client is left" wait_for 5 metric_is hawser_front_connections 1
equal "no request is left" 0 "$(metric hawser_requests_in_flight)"
equal "no connection is lent" 0 "$(metric 'hawser_pool_connections{state="leased"}')"
equal "every exchange ended well" "" "$(curl -s "http://127.0.0.1:$ADMIN/metrics" | grep '^hawser_exchanges_total' | grep -v '"done"' | grep -v ' 0$')"
hawser_stop
