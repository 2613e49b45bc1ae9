#!/usr/bin/env bash
# A network of its own, in which connecting fails in every way a kernel knows: each is told by its own name. And a name with
# two addresses, one of them silent, is reached without waiting for the silent one.
set -euo pipefail
if [ "${1:-}" != inside ]; then
    unshare -rnm true 2>/dev/null || { echo "no namespaces for users here"; exit 77; }
    exec unshare -rnm bash "$0" inside
fi
. "$(dirname "$0")/lib.sh"
set +e # what fails is counted
. "$HAWSER_SOURCE/test/integration/hawser.sh"

ip link set lo up
ip addr add 10.9.0.1/32 dev lo
ip -6 addr add 2001:db8:9::1/128 dev lo nodad || { echo "no IPv6 here"; exit 77; }
ip route add prohibit 10.1.0.0/24
ip route add blackhole 10.2.0.0/24
ip route add unreachable 10.3.0.0/24
# What leaves by lo for an address that nobody has comes in again and is dropped without a word.
ip route add 10.5.0.0/24 dev lo src 10.9.0.1
ip -6 route add 2001:db8:5::/64 dev lo src 2001:db8:9::1
cat >"$WORK/hosts" <<HOSTS
127.0.0.1 localhost
2001:db8:5::1 both.test
10.9.0.1 both.test
2001:db8:5::1 neither.test
10.9.0.1 neither.test
10.5.0.1 neither.test
HOSTS
mount --bind "$WORK/hosts" /etc/hosts

start good python3 "$PEERS/backend.py" 10.9.0.1 10255 "$WORK/good.ledger"
{
    unix_listener
    cat <<YAML
pool: {breaker: {failures: 1000, backoffMinMs: 10, backoffMaxMs: 20}}
timeouts: {connectMs: 2000, dialMs: 5000}
routes:
  - name: all
    match: {hosts: ["*"], schemes: [http]}
YAML
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens 10.9.0.1 10255 || die "the backend did not start"
equal "a destination that is there" ok "$(via "http://10.9.0.1:10255/ok")"

access_lines() { grep -ac event=access "$WORK/hawser.log"; }
has_access_line() { [ "$(access_lines)" -gt "$1" ]; } # a line is written at the end of the turn, after the answer

# fails HOST:PORT STATUS END TEXT: what the client is told, and what the log says
fails() {
    local body before
    before=$(access_lines)
    body=$(via "http://$1/ok" -w '\n%{http_code}')
    equal "$1: status" "$2" "${body##*$'\n'}"
    matches "$1: the text" "$4" "$body"
    wait_for 5 has_access_line "$before"
    matches "$1: in the access log" "status=$2 .*end=$3 " "$(grep -a event=access "$WORK/hawser.log" | tail -1)"
}
fails 10.9.0.1:9 502 refused "10.9.0.1:9: connection refused by the destination"
fails 10.1.0.1:10255 502 filtered "10.1.0.1:10255: connecting is forbidden by a firewall, route or sandbox rule"
fails 10.2.0.1:10255 502 unreachable "10.2.0.1:10255: destination unreachable"
fails 10.3.0.1:10255 502 unreachable "10.3.0.1:10255: destination unreachable"
fails 10.4.0.1:10255 502 unreachable "10.4.0.1:10255: destination unreachable"
fails 10.5.0.1:10255 504 connect_timeout "10.5.0.1:10255: connecting to the destination timed out"
fails '[2001:db8:6::1]:10255' 502 unreachable "\[2001:db8:6::1\]:10255: destination unreachable"

# Two ports for everybody, and both of them lent: requests whose answers take their time, one of them over the connection
# that is there.
echo "40000 40001" >/proc/sys/net/ipv4/ip_local_port_range
for i in 1 2 3; do start "slow$i" via "http://10.9.0.1:10255/slow?seconds=4"; done
ports_are_used() { [ "$(ss -Htn "dst = 10.9.0.1 and dport = :10255" | wc -l)" -ge 3 ]; }
check "the ports are used up" wait_for 3 ports_are_used
fails 10.9.0.1:10255 503 no_source "10.9.0.1:10255: no source port or address is left for the destination"
echo "32768 60999" >/proc/sys/net/ipv4/ip_local_port_range

# The first address is silent (the kernel gives up with the second SYN, after a second); the other is tried 250 ms later.
equal "the other address answers" ok "$(via "http://both.test:10255/ok")"
took=$(grep -aoP 'event=access .*host=both.test .*dial_ms=\K[0-9]+' "$WORK/hawser.log")
echo "both.test was dialled in $took ms"
check "the silent address was tried first, and given 250 ms alone" [ "$took" -ge 250 ]
check "and not waited for" [ "$took" -lt 950 ]
fails neither.test:9 502 refused "10.9.0.1:9: connection refused by the destination \(3 addresses failed\)"

check "no request is left" wait_for 10 metric_is hawser_requests_in_flight 0
equal "no connection is lent" 0 "$(metric 'hawser_pool_connections{state="leased"}')"
hawser_stop
