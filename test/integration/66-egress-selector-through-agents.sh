#!/usr/bin/env bash
# A cluster as it migrates: kube-apiserver's own egress selector with the EgressSelectorConfiguration it has, the proxy-server's flags
# with another program behind them, and the module's own agent. In both modes that kube-apiserver has.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program konnectivity "kube-apiserver's egress selector, and Konnectivity's own agent"

make_pki
"$PKI" client --ca "$WORK/front-ca" --cn konnectivity-agent --out "$WORK/agent" --quiet || die "hawser-pki failed"
ln -s "$HAWSER_BUILD/hawser" "$WORK/proxy-server"
NODE=$(free_address)
CLOSED=$(free_port)

try() { # try MODE PROTOCOL WORDS: WORDS are what a refused dial is told as
    local mode=$1 protocol=$2 words=$3 agents health admin log=$WORK/$1
    agents=$(free_port) health=$(free_port) admin=$(free_port)
    start "server-$mode" "$WORK/proxy-server" --uds-name="$WORK/$mode.sock" --mode="$mode" --server-port=0 --agent-port="$agents" \
        --health-port="$health" --admin-port="$admin" --cluster-cert="$WORK/front.crt" --cluster-key="$WORK/front.key" \
        --cluster-ca-cert="$WORK/front-ca/ca.crt" --server-id="$mode"
    local server=$PID
    wait_for 20 curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$health/healthz" || die "the server by --mode=$mode does not start"
    start "agent-$mode" "$PROGRAM" proxy-agent --ca-cert "$WORK/front-ca/ca.crt" --agent-cert "$WORK/agent.crt" --agent-key "$WORK/agent.key" \
        --proxy-server-host 127.0.0.1 --proxy-server-port "$agents" --health-server-port "$(free_port)" --admin-server-port "$(free_port)" \
        --sync-interval 100ms --v 0
    local agent=$PID
    wait_for 20 curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$health/readyz" || die "the agent does not connect to --mode=$mode"
    cat >"$WORK/$mode.yaml" <<YAML
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: $protocol
    transport:
      uds:
        udsName: $WORK/$mode.sock
YAML
    CHECKS=$((CHECKS + 1))
    if timeout 170 "$PROGRAM" selector -egress "$WORK/$mode.yaml" -destination "$NODE" -fail "$NODE:$CLOSED=$words" \
        >"$log.log" 2>"$log.libraries"; then
        echo "--mode=$mode: $(grep -c '^ok' "$log.log") checks"
    else
        fail "--mode=$mode: $(grep -aE '^(FAIL|konnectivity:|panic)' "$log.log" "$log.libraries" -h | head -c 4000)"
    fi
    matches "--mode=$mode: all of it went through the agent" '^[1-9][0-9]{2,}$' "$(curl -sS -m 5 "http://127.0.0.1:$admin/metrics" |
        awk '/_server_stream_packets_total/ && /from_agent/ && /DIAL_RSP/ { n += $2 } END { print n + 0 }')"
    stop "$agent" KILL # it would wait for its server
    stop "$server"
    equal "--mode=$mode: the server ends well" 0 $?
}
try grpc GRPC "connection refused"
try http-connect HTTPConnect "connection refused"
