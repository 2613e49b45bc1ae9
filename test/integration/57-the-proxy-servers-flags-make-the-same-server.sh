#!/usr/bin/env bash
# Hawser started with the proxy-server's own flags, as the module's tests start that: the same behaviour, ports, readiness and
# metric names as in 52 and 53, in both modes.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
SERVER=flags
. "$HAWSER_SOURCE/test/integration/agents.sh"

FEW='a request is answered|10 MiB|refuses|does not resolve|gives up|no agent at all|fails at once|balancer|second stream|readiness|drains|in their order|alone'
behind "mode grpc" agents -front single -only "$FEW"
behind "mode http-connect" agents -front connect -only "$FEW"
behind "mode grpc over mutual TLS" agents -front single -mtls -only 'a request is answered|10 MiB'
behind "mode http-connect over mutual TLS" agents -front connect -mtls -only 'a request is answered|10 MiB'
