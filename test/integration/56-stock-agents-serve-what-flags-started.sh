#!/usr/bin/env bash
# Hawser by the proxy-server's flags, and by nothing else, in the place of the proxy-server: the module's agents and clients, both ways
# of kube-apiserver, over the Unix socket and over mutual TLS. Of what 52 and 53 check, what flags have a part in.
. "$(dirname "$0")/lib.sh"
SERVER=flags
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

FLAGS='a request is answered|refuses|no agent|restarted|balancer|readiness|drains|destHost|without a'
behind "gRPC by flags" agents -front single -only "$FLAGS"
behind "gRPC over mutual TLS by flags" agents -front single -mtls -only 'a request is answered|restarted'
behind "CONNECT by flags" agents -front connect -only "$FLAGS"
behind "CONNECT over mutual TLS by flags" agents -front connect -mtls -only 'a request is answered|restarted'
