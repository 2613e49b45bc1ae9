#!/usr/bin/env bash
# 64 clients that ask without pause and one that has asked for a lot and reads nothing, all through one agent: each of the 64 goes
# on. How much they lose by it is the benchmark's matter (bench/run --only W8stall).
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

for front in connect single; do
    behind "stalled behind $front" stall -front $front -rounds 2
done
