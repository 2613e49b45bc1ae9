#!/usr/bin/env bash
# What the proxy-server's own tests verify, with the module's agents and clients: gRPC tunnels, single-use over a Unix socket and
# over TCP with mutual TLS, and many on one connection. Requests, failures, agents and servers that come and go, strategies.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

behind "single-use tunnels" agents -front single
behind "tunnels that share a connection" agents -front shared -only 'a request is answered|3,000|MiB|POSTs|shapes|lost|cut off|second stream|refuses'
behind "single-use tunnels over mutual TLS" agents -front single -mtls -only 'a request is answered|MiB|POSTs|restarted'
