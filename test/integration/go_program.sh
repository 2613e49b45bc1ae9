# test/integration/go_program.sh — sourced after hawser.sh by what needs a Go program of test/interop with modules of others.
# Without Go, with one that is too old, or without its modules, everything is skipped and says so.

build_program() { # build_program NAME WHAT: $PROGRAM; once for all scripts, later calls find it up to date in a second
    local source=$HAWSER_SOURCE/test/interop/$1 go wanted got
    PROGRAM=$HAWSER_BUILD/interop/$1
    skip() {
        echo "SKIPPED, NOT PASSED: $*, so $WHAT was NOT tested" >&2
        exit 77
    }
    WHAT=$2
    go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null) || skip "no Go compiler here"
    export GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off GOCACHE=${GOCACHE:-${TMPDIR:-/tmp}/hawser-go-cache}
    wanted=$(awk '$1 == "go" { print $2 }' "$source/go.mod")
    got=$("$go" env GOVERSION)
    [ "$(printf '%s\n' "$wanted" "${got#go}" | sort -V | head -1)" = "$wanted" ] || skip "Go $wanted is needed and this is $got"
    mkdir -p "$HAWSER_BUILD/interop"
    (
        flock 9
        cd "$source" && "$go" build -ldflags='-s -w' -o "$PROGRAM" . >"$WORK/go-build.log" 2>&1
    ) 9>"$HAWSER_BUILD/interop/lock" && return
    (cd "$source" && timeout 60 "$go" mod download >>"$WORK/go-build.log" 2>&1) || skip "the Go modules cannot be had"
    die "the Go program does not build"
}
