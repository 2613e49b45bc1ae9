#!/usr/bin/env bash
# Agents that are cut again and again while clients work, and some of these leave in the middle: every exchange is right or torn,
# none hangs, nothing is left. A server that drains lets its tunnels through agents end. A reader that rests loses nothing.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/agents.sh"

for front in connect single shared; do
    behind "weather in front of $front" weather -front $front
done
