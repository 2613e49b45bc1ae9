#!/usr/bin/env bash
# kube-apiserver's egress selector, with its own configuration file, over both transports that HTTPConnect has: reaches a
# server, verifies it through the tunnel, and tells in its own words why it does not reach another.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/interop.sh"

interop_pki
interop_config "$WORK/hawser.yaml" <<'YAML'
  - name: broadcast
    match: {cidrs: [127.255.255.255/32], ports: [10250], schemes: [tunnel]}
  - name: anything
    match: {hosts: ['*'], ports: [10250], schemes: [tunnel]}
pool: {breaker: {failures: 1000}} # its own words are another test's
timeouts: {tunnelSpeakFirstMs: 50} # on a machine that is busy with other tests
YAML
kubelet_start -banner "$NODE:2222" -deaf "$NODE:2223"
hawser_start "$WORK/hawser.yaml"
for transport in unix mtls; do
    egress_config $transport
    # shellcheck disable=SC2046 # options are words
    program "egress selector over $transport" egress $(connect_by $transport) \
        -seen-as kube-apiserver-kubelet-client -wrong-ca "$WORK/rogue-ca/ca.crt" -banner "$NODE:2222" \
        -fail "$NODE:1=code 502: 502 $NODE:1: connection refused by the destination" \
        -fail "$NODE:2223=code 504: 504 $NODE:2223: connecting to the destination timed out" \
        -fail "127.255.255.255:10250=code 502: 502 127.255.255.255:10250: destination unreachable" \
        -fail "no-such-node.invalid:10250=code 502: 502 no-such-node.invalid: destination name does not resolve" \
        -fail "127.0.0.1:$ADMIN=code 403: 403 no route matches the destination" \
        -fail "127.0.0.1:10250=code 403: 403 not allowed by policy" \
        -fail "169.254.169.254:10250=code 403: 403 not allowed by policy"
    # shellcheck disable=SC2046
    program "the bridge over $transport" egress $(bridge_by $transport) -seen-as egress-broker -wrong-ca "$WORK/rogue-ca/ca.crt"
    # shellcheck disable=SC2046
    matches "whom the bridge does not know, it refuses" "FAIL: a server is reached.*remote error: tls: unknown certificate authority" \
        "$("$PROGRAM" egress $(bridge_by $transport) -http1 -cert "$WORK/kubelet-client.crt" -key "$WORK/kubelet-client.key")"
done
check "tunnels are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
