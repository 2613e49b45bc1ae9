# test/integration/lib.sh — sourced by every script here. A script says what it checks with `check`, makes its files in
# $WORK, starts processes with `start`, and leaves the rest to the trap: what it started is ended by its process id, and
# the logs are shown only if something failed.
set -uo pipefail

: "${HAWSER_BUILD:?the build directory}" "${HAWSER_SOURCE:?the source directory}"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/hawser-test.XXXXXX")
STARTED=()
FAILED=0
CHECKS=0

fail() { # fail MESSAGE: notes it and goes on
    FAILED=$((FAILED + 1))
    echo "FAIL: $*" >&2
}

die() { # die MESSAGE: nothing after it would make sense
    fail "$@"
    exit 1
}

check() { # check SENTENCE COMMAND...: the command must succeed
    local sentence=$1
    shift
    CHECKS=$((CHECKS + 1))
    "$@" || fail "$sentence"
}

refute() { # refute SENTENCE COMMAND...: the command must fail
    local sentence=$1
    shift
    CHECKS=$((CHECKS + 1))
    if "$@"; then fail "$sentence"; fi
}

equal() { # equal SENTENCE EXPECTED ACTUAL
    CHECKS=$((CHECKS + 1))
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

matches() { # matches SENTENCE PATTERN TEXT: the pattern is an extended regular expression
    CHECKS=$((CHECKS + 1))
    grep -qaE -- "$2" <<<"$3" || fail "$1: expected /$2/, got '$(head -c 400 <<<"$3")'"
}

lacks() { # lacks SENTENCE PATTERN TEXT
    CHECKS=$((CHECKS + 1))
    if grep -qaE -- "$2" <<<"$3"; then fail "$1: /$2/ should not be in '$(head -c 400 <<<"$3")'"; fi
}

wait_for() { # wait_for SECONDS COMMAND...: polls until it succeeds; false when the time is over
    local until=$(($(date +%s%N) + $1 * 1000000000))
    shift
    until "$@" 2>/dev/null; do
        [ "$(date +%s%N)" -lt "$until" ] || return 1
        sleep 0.05
    done
}

start() { # start NAME COMMAND...: in the background, output in $WORK/NAME.log; the process id is in $PID
    local name=$1
    shift
    "$@" >"$WORK/$name.log" 2>&1 &
    PID=$!
    STARTED+=("$PID")
}

stop() { # stop PID [SIGNAL]: waits for the end; its exit status is ours
    kill -"${2:-TERM}" "$1" 2>/dev/null
    wait "$1"
    local status=$? pid left=()
    for pid in "${STARTED[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
    STARTED=(${left[@]+"${left[@]}"})
    return $status
}

port_is_taken() { # on any address
    ss -Hltn "sport = :$1" 2>/dev/null | grep -q .
}

free_port() { # prints a port below the ephemeral range that nobody listens on
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 10000))
        port_is_taken "$port" || { echo "$port"; return; }
    done
    die "no free port"
}

finish() {
    local status=$? pid
    for pid in ${STARTED[@]+"${STARTED[@]}"}; do
        kill -TERM "$pid" 2>/dev/null
        for _ in $(seq 60); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    [ "$FAILED" -eq 0 ] || status=1
    if [ "$status" -ne 0 ]; then
        for log in "$WORK"/*.log; do
            [ -s "$log" ] && { echo "--- ${log##*/}"; tail -n 40 "$log"; } >&2
        done
    fi
    echo "$CHECKS checks, $FAILED failed"
    rm -rf "$WORK"
    trap - EXIT
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
