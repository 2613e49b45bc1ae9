#!/usr/bin/env bash
# kubectl's libraries (exec and attach over SPDY and WebSocket, port-forward) through kube-apiserver's upgrade proxy and
# tunnels that end here: an unmodified kube-apiserver, which trusts the bridge's CA, and pooled connections behind it.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/interop.sh"

interop_pki
interop_config "$WORK/hawser.yaml" </dev/null
kubelet_start
hawser_start "$WORK/hawser.yaml"
for transport in unix mtls; do
    egress_config $transport
    # shellcheck disable=SC2046 # options are words
    program "streams over $transport" streams $(bridge_by $transport)
done
check "tunnels are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
