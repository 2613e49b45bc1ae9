# test/integration/agents.sh — sourced after hawser.sh by the scripts in which Konnectivity's own agents connect (test/interop/konnectivity):
# runs a command of that program which starts its servers itself. SERVER=stock puts the module's own proxy-server in Hawser's
# place, to see what a check is worth; SERVER=flags is Hawser by the proxy-server's flags.
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "Konnectivity's own agents"
SERVER=${SERVER:-hawser}
DESTINATION=$(free_address)

behind() { # behind SENTENCE COMMAND OPTION...: every case of the command must pass
    local sentence=$1 log
    log=$WORK/$(tr -c 'a-z0-9\n' - <<<"${sentence,,}").log
    shift
    CHECKS=$((CHECKS + 1))
    if TMPDIR=$WORK ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=8:${ASAN_OPTIONS:-}" timeout 170 "$PROGRAM" "$@" -server "$SERVER" \
        -program "$HAWSER_BUILD/hawser" -destination "$DESTINATION" >"$log" 2>"$log.libraries"; then
        echo "$sentence: $(grep -c '^ok' "$log") cases"
    else
        fail "$sentence: $(grep -aE '^(FAIL|konnectivity:|panic)' "$log" "$log.libraries" -h | head -c 6000)"
    fi
    grep '^left out' "$log"
    return 0
}
