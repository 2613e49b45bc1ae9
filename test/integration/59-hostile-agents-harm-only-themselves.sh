#!/usr/bin/env bash
# Agents that send noise, lie about connections, flood, read nothing, die with a thousand tunnels, fall silent, come back a hundred
# at once; ten thousand dials that nobody answers. Beside them works an agent whose client must not see a failure.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

MEMORY=160 # MiB: 16 KiB for each of 10,000 dials
[ $SANITIZED = no ] || MEMORY=300 # red zones around everything
behind "with CONNECT in front" hostile -front connect
behind "with gRPC in front" hostile -front shared -memory $MEMORY -only 'connectID|10,000|1,000|reads nothing'
