#!/usr/bin/env bash
# Builds the programs of test/interop before the scripts that use them, which each have less time than that may take.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"

for name in apiserver konnectivity kubeapi; do
    build_program $name "what it is the client for"
    check "the Go program $name is there" [ -x "$PROGRAM" ]
done
