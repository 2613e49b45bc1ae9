#!/usr/bin/env bash
# via: without an agent a route through agents alone fails closed, one with direct behind it goes there, and neither is
# held against the destination. A listener that serves agents serves nobody else.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"

make_pki
is_ready() { curl -fsS -m 2 "http://127.0.0.1:$ADMIN/healthz" >/dev/null 2>&1; } # without agents it never is, but it serves
BACKEND=$(free_address 10255)
AGENTS=$(free_port)
start backend python3 "$PEERS/backend.py" "$BACKEND" 10255 "$WORK/ledger"
agents_listener() { # agents_listener [more of tls]
    cat <<YAML
  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: $AGENTS}
    tls:
      certificateFile: $WORK/front.crt
      keyFile: $WORK/front.key
YAML
    cat
}
routes() {
    kubelet_profile
    cat <<YAML
pool: {breaker: {failures: 2}}
routes:
  - {name: closed, match: {cidrs: [127.64.0.0/10], ports: [10251], schemes: [http, tunnel]}, via: [agent]}
  - {name: either, match: {cidrs: [127.64.0.0/10], ports: [10255], schemes: [http, tunnel]}, via: [agent, direct]}
  - {name: late, match: {cidrs: [127.64.0.0/10], ports: [10252], schemes: [http, tunnel]}, via: [direct, agent], strategies: [destHost]}
  - {name: names, match: {hosts: ["*"], ports: [10253], schemes: [http, tunnel]}, via: [agent]}
  - {name: secure, match: {cidrs: [127.64.0.0/10], ports: [10256]}, tlsProfile: kubelet, via: [agent]}
  - {name: named, match: {hosts: [localhost], ports: [10254], schemes: [http, tunnel]}, via: [agent]}
YAML
}
{
    unix_listener
    printf '%s\n' "      clientCaFile: $WORK/front-ca/ca.crt" '      allowedNames: [kube-apiserver]' | agents_listener
    routes
} | hawser_config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 10 listens "$BACKEND" 10255 || die "the backend did not start"

get() { # get HOST:PORT: status and what the answer says
    via "http://$1/ok" -D "$WORK/head" -o "$WORK/body" -w '%{http_code}'
    tr -d '\r' <"$WORK/head" | grep -ai '^retry-after' || echo
    cat "$WORK/body"
}
connect() { # connect TARGET: the answer's first line
    python3 -c 'import sys; from client import Reader, connect
s = connect(sys.argv[1])
s.sendall(("CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % sys.argv[2]).encode())
print(Reader(s).until(b"\r\n\r\n").decode().splitlines()[0])' "$UNIX" "$1"
}
for i in 1 2 3 4; do # beyond what opens a breaker
    matches "by agents alone: request $i" "^503retry-after: 1" "$(get "$BACKEND:10251" | tr 'A-Z' 'a-z')"
    matches "and says why" "no agent is connected" "$(cat "$WORK/body")"
    matches "by agents alone: tunnel $i" "^HTTP/1.1 503 .*no agent is connected" "$(connect "$BACKEND:10251")"
    matches "by agents or else directly: tunnel $i" "^HTTP/1.1 200" "$(connect "$BACKEND:10255")"
    matches "by agents or else directly: request $i" "^200" "$(get "$BACKEND:10255")"
done
equal "no breaker opened" 0 "$(metric hawser_breakers_opened_total)"
equal "each is counted by its reason" 8 "$(ended no_agent)"
matches "a destination that refuses is not asked by another way" "^502.*" "$(get "$BACKEND:10252")"
matches "and says so" "refused by the destination" "$(cat "$WORK/body")"
lacks "nothing of agents" "agent" "$(cat "$WORK/body")"
matches "names are for agents to resolve" "^503" "$(get "no-such-name.invalid:10253")"
matches "the agents' own machine is named by no wildcard" "^403" "$(get "localhost:10253")"
matches "in no spelling" "^HTTP/1.1 403 .*no route names" "$(connect "a.LOCALHOST.:10253")"
matches "but by its name" "^503" "$(get "localhost:10254")"
curl -sS -m 20 "http://127.0.0.1:$ADMIN/statusz" >"$WORK/status.json"
python3 - "$WORK/status.json" <<'PY' >"$WORK/ways"
import json, sys
for e in json.load(open(sys.argv[1]))["endpoints"]:
    print(e["port"], ",".join(e.get("via", [])))
PY
check "the status page shows the ways" grep -qx "10255 agent,direct" "$WORK/ways"

# The agents' listener: nothing but agents, however well a client proves itself.
agents() { # agents CURL-OPTION...: of a request there that the Unix socket takes
    curl -k -sS -m 20 -o "$WORK/body" -w '%{http_code}' --connect-to "::127.0.0.1:$AGENTS" "$@" "https://$BACKEND:10256/ok" 2>"$WORK/curl.err"
}
known=(--cert "$WORK/apiserver.crt" --key "$WORK/apiserver.key")
matches "a request by the Unix socket" "^503.*" "$(via "https://$BACKEND:10256/ok" -o /dev/null -w '%{http_code}')"
equal "there, over HTTP/2" 403 "$(agents --http2 "${known[@]}")"
equal "over HTTP/1.1, which agents are not offered" 000 "$(agents --http1.1 "${known[@]}")"
equal "or without a word of it" 000 "$(agents --http1.1 --no-alpn "${known[@]}")"
matches "and the log says why" "this listener serves agents" "$(cat "$WORK/hawser.log")"
equal "without a certificate nobody comes in" 000 "$(agents --http2)"
hawser_stop

# Agents that prove nothing are let in where that is asked for, and as agents only.
{ unix_listener; agents_listener </dev/null; echo 'agents: {anonymous: true}'; routes; } | hawser_config "$WORK/loose.yaml"
hawser_start "$WORK/loose.yaml"
matches "and it is said" "event=insecure_agents .*listener agents takes agents that prove nothing" "$(cat "$WORK/hawser.log")"
equal "a request of somebody unknown" 403 "$(agents --http2)"
hawser_stop
