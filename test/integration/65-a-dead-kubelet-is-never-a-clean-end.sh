#!/usr/bin/env bash
# The kubelet is killed while it serves logs, exec and port-forward. Their readers are told, on every way; none of them takes
# what it has for all there was.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/interop.sh"

interop_pki
interop_config "$WORK/hawser.yaml" </dev/null
hawser_start "$WORK/hawser.yaml"
for transport in unix mtls; do
    egress_config $transport
    for kind in connect forward bridge; do
        kubelet_start
        # shellcheck disable=SC2046 # options are words
        program "$kind over $transport, and the kubelet dies" death -pid "$KUBELET" $(${kind}_by $transport)
        stop "$KUBELET" KILL
    done
done
check "tunnels are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
