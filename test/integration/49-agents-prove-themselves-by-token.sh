#!/usr/bin/env bash
# Konnectivity's own agent with --service-account-token-path, against a listener that asks the Kubernetes API about tokens: who
# is let in, who is not and why, what is asked how often, and the lease by which agents know of the server.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/kubeapi.sh"
build_program konnectivity "Konnectivity's own agents"

make_pki
AGENTS=$(free_port)
NODE=$(free_address 10255)
mkdir "$WORK/www" && echo "through an agent" >"$WORK/www/index.html"
start backend python3 -m http.server --bind "$NODE" --directory "$WORK/www" 10255
cat >"$WORK/tokens" <<TOKENS
right-token $AGENT $AUDIENCE
other-account system:serviceaccount:kube-system:other $AUDIENCE
TOKENS
api_start
kubeconfig "certificate-authority: api-ca/ca.crt" "tokenFile: bearer"
{
    unix_listener
    cat <<YAML
  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: $AGENTS}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key}
routes:
  - name: plain
    match: {cidrs: [127.64.0.0/10], ports: [10255], schemes: [http]}
    via: [agent]
pool: {breaker: {failures: 1000}}
YAML
    kubernetes server-1
} | hawser_config "$WORK/hawser.yaml"
is_ready() { listens 127.0.0.1 "$ADMIN"; } # without an agent it is not ready, says /readyz
hawser_start "$WORK/hawser.yaml"

agent_start() { # agent_start NAME TOKEN: its process id in $PID
    printf '%s' "$2" >"$WORK/$1.token"
    start "$1" "$PROGRAM" proxy-agent --ca-cert="$WORK/front-ca/ca.crt" --proxy-server-host=127.0.0.1 --proxy-server-port="$AGENTS" \
        --service-account-token-path="$WORK/$1.token" --agent-id="$1" --sync-interval=200ms --sync-interval-cap=500ms \
        --health-server-port="$(free_port)" --admin-server-port="$(free_port)" --logtostderr=true
}
backends() { metric 'konnectivity_network_proxy_server_ready_backends{proxy_strategy="default"}'; }
backends_are() { [ "$(backends)" = "$1" ]; }
status() { via "http://$NODE:10255/" -o /dev/null -w '%{http_code}'; }

check "the lease is there before any agent" wait_for 10 lease_matches konnectivity-proxy-server-server-1 'holder=server-1 valid=true'
agent_start wrong other-account
said() { grep -q "$1" "$WORK/hawser.log"; }
check "an agent of another account is refused, and the log says why" wait_for 20 said 'somebody else: system:serviceaccount:kube-system:other'
agent_start rubbish rubbish
check "so is one whose token nobody knows" wait_for 20 said 'does not accept the token'
equal "neither is an agent" 0 "$(backends)"
equal "and nothing goes through them" 503 "$(status)"

agent_start right right-token
check "an agent with the right token is let in" wait_for 20 backends_are 1
equal "and carries connections" "through an agent" "$(via "http://$NODE:10255/")"
kill -KILL "$PID" # it goes on serving after a first SIGTERM
check "it leaves" wait_for 20 backends_are 0
tried() { [ "$(metric hawser_token_checks_total)" -ge 8 ]; }
check "those who are refused try again and again" wait_for 20 tried
asked=$(control counts | awk '$2 ~ /tokenreviews$/ { n += $4 } END { print n }')
agent_start again right-token
check "and is let in again" wait_for 20 backends_are 1
equal "its token was judged once" 1 "$(metric 'hawser_token_reviews_total{result="authenticated"}')"
check "nor are refused tokens asked about at each try ($asked)" [ "$asked" -le 8 ]

control 'hang?on=true'
agent_start silent another-token
sleep 1
equal "those who are in stay while the API server is silent" "through an agent" "$(via "http://$NODE:10255/")"
control 'hang?on=false'
equal "nothing but the right one ever was an agent" 1 "$(backends)"
hawser_stop
check "the lease went with the broker" is_gone konnectivity-proxy-server-server-1
lacks "no token is in the log" 'right-token|bearer-secret|another-token' "$(cat "$WORK/hawser.log")"
equal "the broker said nothing wrong" "" "$(control wrong)"
