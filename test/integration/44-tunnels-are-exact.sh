#!/usr/bin/env bash
# CONNECT and upgrades on every kind of listener: the 200 alone, every byte, ends as ends and resets as resets. What fails
# says why and in time; who leaves is not dialled for; what is open at the end is cut.
# In a network of its own where that may be had: addresses that nothing leads to, names that do not exist.
. "$(dirname "$0")/lib.sh"
if [ -z "${TUNNELS_ALONE:-}" ]; then
    export TUNNELS_ALONE=no
    if unshare -nm true 2>/dev/null; then
        rm -rf "$WORK"
        TUNNELS_ALONE=yes exec unshare -nm -- bash "$0" "$@"
    fi
fi
. "$HAWSER_SOURCE/test/integration/hawser.sh"
UNREACHABLE=
if [ "$TUNNELS_ALONE" = yes ]; then
    ip link set lo up
    UNREACHABLE=198.51.100.1:443
fi
make_pki
A=$(free_address 9)
TCP=$(free_port)
TLS=$(free_port)
HOLD=400
if [ "$TUNNELS_ALONE" = yes ]; then
    echo "nameserver 127.0.0.1" >"$WORK/resolv.conf"
    mount --bind "$WORK/resolv.conf" /etc/resolv.conf || die "no resolv.conf of its own"
    start dns python3 "$PEERS/dns.py" metadata.test=169.254.169.254 "here.test=$A"
    wait_for 5 grep -q ready "$WORK/dns.log" || die "the name server did not start"
fi
config() { # config FILE < limits and timeouts
    {
        cat <<YAML
listeners:
  - name: unix
    unix: {path: $UNIX}
  - name: tcp
    tcp: {address: 127.0.0.1, port: $TCP}
    insecure: true
  - name: tls
    tcp: {address: 127.0.0.1, port: $TLS}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
routes:
  - {name: ssh, match: {cidrs: [127.64.0.0/10], ports: [22], schemes: [tunnel]}, action: refuse}
  - {name: loopback, match: {cidrs: [127.64.0.0/10], schemes: [tunnel, http]}}
  - {name: nowhere, match: {cidrs: [198.51.100.0/24], schemes: [tunnel]}}
  - {name: names, match: {hosts: ["*.test"], cidrs: [127.64.0.0/10], schemes: [tunnel]}}
pool: {breaker: {failures: 3, backoffMinMs: 60000, backoffMaxMs: 60000}}
YAML
        cat
    } | hawser_config "$1"
}

config "$WORK/hawser.yaml" <<YAML
timeouts: {tunnelSpeakFirstMs: $HOLD}
YAML
hawser_start "$WORK/hawser.yaml"
for listener in "unix:$UNIX" "tcp:$TCP" "tls:$TLS:$WORK/front-ca/ca.crt:$WORK/apiserver.crt:$WORK/apiserver.key"; do
    check "tunnels over ${listener%%:*}" python3 "$HERE/tunnels.py" "$listener" "$A" "$ADMIN" $HOLD
done
hawser_stop
mv "$WORK/hawser.log" "$WORK/hawser-1.log"

# Failures, and clients that leave. A full backlog is a destination that does not answer.
start crowd python3 "$PEERS/full_backlog.py" "$A" 8000
WORKERS=1 # several that admit at the same moment may exceed a limit by one each
config "$WORK/hawser.yaml" <<YAML
limits: {tunnelsMax: 8}
timeouts: {connectMs: 3000}
YAML
hawser_start "$WORK/hawser.yaml"
wait_for 10 grep -q ready "$WORK/crowd.log" || die "no crowd"
check "failures" python3 "$HERE/tunnel_failures.py" "$UNIX" "$A" "$ADMIN" "$UNREACHABLE" "$A:8000"
hawser_stop
mv "$WORK/hawser.log" "$WORK/hawser-2.log"

# An answer comes in tunnelAnswerMs although the dial would last longer.
config "$WORK/hawser.yaml" <<YAML
timeouts: {tunnelAnswerMs: 700, connectMs: 60000, drainMs: 1500}
YAML
hawser_start "$WORK/hawser.yaml"
check "tunnelAnswerMs" python3 - "$UNIX" "$A:8000" <<'PY'
import sys, time
from client import say
begun = time.monotonic()
a = say(sys.argv[1], b"CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % sys.argv[2].encode())
took = time.monotonic() - begun
print(a.line, took)
sys.exit(not (a.status == 504 and 0.6 < took < 5))
PY

# Draining: what is open stays until drainMs and is cut then, by a reset.
start open python3 "$HERE/tunnel_drain.py" "$TCP" "$A"
OPEN=$PID
wait_for 10 grep -q open "$WORK/open.log" || die "no tunnel"
begun=$(date +%s%N)
hawser_stop
took=$((($(date +%s%N) - begun) / 1000000))
check "not before drainMs ($took ms)" [ $took -ge 1300 ]
check "and not much later ($took ms)" [ $took -lt 8000 ]
wait "$OPEN"
equal "both ends heard a reset, and not before" "reset reset late" "$(tail -1 "$WORK/open.log")"
