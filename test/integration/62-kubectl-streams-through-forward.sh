#!/usr/bin/env bash
# kubectl's libraries (exec and attach over SPDY and WebSocket, port-forward) through kube-apiserver's upgrade proxy and
# requests in absolute-form: the broker makes the TLS to the kubelet itself, and a 101 turns the request into a tunnel.
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
    program "streams over $transport" streams $(forward_by $transport)
done
check "tunnels are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
