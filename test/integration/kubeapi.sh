# test/integration/kubeapi.sh — sourced after hawser.sh by the scripts that need a Kubernetes API: one made of Kubernetes' own modules
# (test/interop/kubeapi), a kubeconfig that leads to it, and what is seen at its back door.
. "$HAWSER_SOURCE/test/integration/go_program.sh"
build_program kubeapi "Kubernetes' own types"
KUBEAPI_PROGRAM=$PROGRAM

AGENT=system:serviceaccount:kube-system:konnectivity-agent
AUDIENCE=system:konnectivity-server
LABEL=k8s-app=konnectivity-server
API=$(free_port)
CONTROL=$(free_port)
made=0
"$PKI" ca --out "$WORK/api-ca" --name api-ca --quiet || made=1
"$PKI" server --ca "$WORK/api-ca" --cn kube-apiserver --dns api.internal --ip 127.0.0.1 --out "$WORK/api" --quiet || made=1
[ $made -eq 0 ] || die "hawser-pki failed"
echo bearer-secret-1 >"$WORK/bearer"

control() { curl -sS -m 10 "http://127.0.0.1:$CONTROL/$1"; }
api_start() { # api_start [OPTION...]: the good tokens are in $WORK/tokens, the broker's own in $WORK/bearer
    start kubeapi "$KUBEAPI_PROGRAM" -address "127.0.0.1:$API" -control "127.0.0.1:$CONTROL" -cert "$WORK/api.crt" -key "$WORK/api.key" \
        -bearer "$WORK/bearer" -tokens "$WORK/tokens" "$@"
    KUBEAPI=$PID
    wait_for 10 listens 127.0.0.1 "$API" && wait_for 10 listens 127.0.0.1 "$CONTROL" || die "the API server did not start"
}

kubeconfig() { # kubeconfig CLUSTER-FIELDS USER-FIELDS: $WORK/kubeconfig
    cat >"$WORK/kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: broker
contexts: [{name: broker, context: {cluster: here, user: broker}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:$API", $1}}]
users: [{name: broker, user: {$2}}]
YAML
    chmod 600 "$WORK/kubeconfig"
}

kubernetes() { # kubernetes SERVER-ID: the sections of a configuration
    cat <<YAML
agents:
  serverId: $1
  tokenReview: {audience: "$AUDIENCE", namespace: kube-system, serviceAccount: konnectivity-agent}
  leases: {namespace: kube-system, label: $LABEL}
kubernetes: {kubeconfigFile: $WORK/kubeconfig, qps: 1000, burst: 1000}
YAML
}

reviews() { control counts | awk '$2 ~ /tokenreviews$/ { n += $4 } END { print n + 0 }'; }
lease() { control leases | grep "^kube-system/$1 "; }
lease_matches() { lease "$1" | grep -qE "$2"; }
is_gone() { ! lease "$1" >/dev/null; }
