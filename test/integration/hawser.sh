# test/integration/hawser.sh — sourced after lib.sh by the scripts that drive a broker: its certificates, its configuration,
# its metrics, and the judgement at its end. A broker that leaks, that trips a sanitizer or that does not drain is a
# failure of the test, whatever the test was about.
HERE=$HAWSER_SOURCE/test/integration
PEERS=$HERE/peers
PKI=$HAWSER_BUILD/tools/hawser-pki
SANITIZED=no
grep -qs '^HAWSER_SANITIZE:[A-Z]*=.\+' "$HAWSER_BUILD/CMakeCache.txt" && SANITIZED=yes
export PYTHONPATH=$PEERS PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

free_address() { # prints an address of 127.64.0.0/10 on which nobody listens on PORT (10250)
    local address
    for _ in $(seq 100); do
        address=127.$((64 + RANDOM % 64)).$((RANDOM % 256)).$((1 + RANDOM % 254))
        ss -Hltn "src = $address and sport = :${1:-10250}" 2>/dev/null | grep -q . || { echo "$address"; return; }
    done
    die "no free address"
}

listens() { # listens ADDRESS PORT
    ss -Hltn "src = $1 and sport = :$2" 2>/dev/null | grep -q .
}

make_pki() { # kubelets' CA, clients' CA, one client certificate towards kubelets, one server and one client in front
    local made=0
    "$PKI" ca --out "$WORK/kubelet-ca" --name kubelet-ca --quiet || made=1
    "$PKI" ca --out "$WORK/front-ca" --name front-ca --quiet || made=1
    "$PKI" ca --out "$WORK/rogue-ca" --name rogue-ca --quiet || made=1
    "$PKI" client --ca "$WORK/kubelet-ca" --cn egress-broker --out "$WORK/egress" --quiet || made=1
    "$PKI" server --ca "$WORK/front-ca" --cn hawser --dns localhost --ip 127.0.0.1 --out "$WORK/front" --quiet || made=1
    "$PKI" client --ca "$WORK/front-ca" --cn kube-apiserver --out "$WORK/apiserver" --quiet || made=1
    [ $made -eq 0 ] || die "hawser-pki failed"
}

kubelet_certificate() { # kubelet_certificate NAME ADDRESS [OPTION...]: $WORK/NAME.crt and .key
    local name=$1 address=$2
    shift 2
    "$PKI" kubelet --ca "$WORK/kubelet-ca" --node "$name" --ip "$address" --out "$WORK/$name" --quiet "$@" ||
        die "hawser-pki failed for $name"
}

UNIX=$WORK/hawser.sock
ADMIN=$(free_port)
hawser_config() { # hawser_config FILE < YAML: the head of a configuration, and the rest as given
    {
        cat <<YAML
apiVersion: hawser.dev/v1alpha1
kind: BrokerConfiguration
workers: ${WORKERS:-2}
admin: {address: 127.0.0.1, port: $ADMIN}
YAML
        cat
    } >"$1"
}

# The parts most tests want.
unix_listener() { printf 'listeners:\n  - name: unix\n    unix: {path: %s}\n' "$UNIX"; }
kubelet_profile() {
    cat <<YAML
tlsProfiles:
  - name: kubelet
    caFile: $WORK/kubelet-ca/ca.crt
    clientCertificateFile: $WORK/egress.crt
    clientKeyFile: $WORK/egress.key
YAML
}
loopback_routes() {
    cat <<YAML
routes:
  - name: kubelets
    match: {cidrs: [127.64.0.0/10], ports: [10250], schemes: [https]}
    tlsProfile: kubelet
  - name: plain
    match: {cidrs: [127.64.0.0/10], ports: [10255], schemes: [http]}
YAML
}
usual_config() { # usual_config FILE < more top-level YAML
    { unix_listener; kubelet_profile; loopback_routes; cat; } | hawser_config "$1"
}

is_ready() { curl -fsS -m 2 "http://127.0.0.1:$ADMIN/readyz" >/dev/null 2>&1; }

hawser_start() { # hawser_start CONFIG: PID of the broker in $HAWSER; its log in $WORK/hawser.log
    start hawser env ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=8:${ASAN_OPTIONS:-}" UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}" \
        "$HAWSER_BUILD/hawser" serve --config "$1"
    HAWSER=$PID
    wait_for 20 is_ready || die "the broker did not become ready"
}

no_sanitizer_spoke() {
    refute "a sanitizer spoke" grep -qE 'ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|WARNING: ThreadSanitizer|assertion' \
        "$WORK/hawser.log"
}

hawser_stop() { # drained: exit code 0, and nothing for a sanitizer to say
    stop "$HAWSER" TERM
    equal "the broker's exit code after SIGTERM" 0 $?
    no_sanitizer_spoke
}

metric() { # metric 'name{labels}': its value
    curl -sS -m 10 "http://127.0.0.1:$ADMIN/metrics" | awk -v want="$1" '$1 == want { print $2; found = 1 } END { if (!found) print "absent" }'
}
metric_is() { [ "$(metric "$1")" = "$2" ]; }
ended() { metric "hawser_exchanges_total{end=\"$1\"}"; }

memory_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }

# via TARGET [curl option...]: a request through the Unix socket.
via() {
    local target=$1 authority
    authority=${target#*://}
    authority=${authority%%/*}
    shift
    curl -sS -m 60 --unix-socket "$UNIX" --request-target "$target" -H "Host: $authority" "$@" http://broker.invalid/
}
