#!/usr/bin/env bash
# Builds the program of test/interop/apiserver before the scripts that use it, which each have less time than that may take.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/interop.sh"

check "the Go program is there" [ -x "$PROGRAM" ]
