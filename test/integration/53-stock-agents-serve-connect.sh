#!/usr/bin/env bash
# The same behaviour as in 52 with CONNECT in front, over a Unix socket and over TCP with mutual TLS.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

behind "CONNECT" agents -front connect
behind "CONNECT over mutual TLS" agents -front connect -mtls -only 'a request is answered|MiB|POSTs|shapes|said all|cut off'
