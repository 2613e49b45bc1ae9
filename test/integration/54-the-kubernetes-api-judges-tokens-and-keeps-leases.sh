#!/usr/bin/env bash
# TokenReviews and Leases against an API server made of Kubernetes' own modules (test/interop/kubeapi), which decode what the
# broker writes strictly and say whether its Lease is valid: over HTTP/2 and HTTP/1.1, by token and by certificate, with an
# API server that is slow, overloaded, silent, or not the one it should be. hawser-kube-asker asks as agents' connections do.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/kubeapi.sh"
"$PKI" ca --out "$WORK/rogue-ca" --name rogue-ca --quiet &&
    "$PKI" client --ca "$WORK/api-ca" --cn konnectivity-server --out "$WORK/client" --quiet || die "hawser-pki failed"

cat >"$WORK/tokens" <<TOKENS
agent-token-1 $AGENT $AUDIENCE
agent-token-2 $AGENT $AUDIENCE,vault
agent-token-3 $AGENT $AUDIENCE
agent-token-4 $AGENT $AUDIENCE
agent-token-5 $AGENT $AUDIENCE
agent-token-6 $AGENT $AUDIENCE
unaware $AGENT -
other-audience $AGENT vault
wrong-answer $AGENT =
other-account system:serviceaccount:kube-system:other $AUDIENCE
other-space system:serviceaccount:default:konnectivity-agent $AUDIENCE
admin kubernetes-admin $AUDIENCE
TOKENS
config() { # config SERVER-ID
    {
        echo "reloadMs: 200"
        unix_listener
        printf 'routes:\n  - name: tunnels\n    match: {cidrs: [127.64.0.0/10], schemes: [tunnel]}\n'
        kubernetes "$1"
    } | hawser_config "$WORK/hawser.yaml"
}

asker_start() {
    [ -p "$WORK/commands" ] || mkfifo "$WORK/commands"
    exec 7<>"$WORK/commands"
    rm -f "$WORK/hawser.log" # what the one before answered is no answer
    start hawser env ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}" bash -c 'exec "$0" "$1" <"$2" 7<&-' \
        "$HAWSER_BUILD/test/integration/hawser-kube-asker" "$WORK/hawser.yaml" "$WORK/commands"
    ASKER=$PID
    wait_for 20 grep -q '^ready' "$WORK/hawser.log" || die "the broker did not start"
}
asker_stop() {
    echo drain >&7
    wait "$ASKER"
    equal "the broker's exit code" 0 $?
    exec 7>&-
    no_sanitizer_spoke
}
ask() { printf 'check %s %s\n' "$1" "$2" >&7; }
answers() { grep -cE "^[0-9]+ $1 " "$WORK/hawser.log"; }
has_answers() { [ "$(answers "$1")" -ge "$2" ]; }
answer_of() { # answer_of TOKEN [N [SECONDS]]: the N-th one
    wait_for "${3:-15}" has_answers "$1" "${2:-1}" || { echo "no answer"; return; }
    grep -E "^[0-9]+ $1 " "$WORK/hawser.log" | sed -n "${2:-1}p" | cut -d' ' -f3-
}
judged() { # judged SENTENCE TOKEN PATTERN
    ask 0 "$2"
    matches "$1" "$3" "$(answer_of "$2")"
}

# -- tokens over HTTP/2, with a bearer token that is renewed ----------------------------------------------------------
api_start
kubeconfig "certificate-authority: api-ca/ca.crt" "tokenFile: bearer"
config server-1
asker_start

control 'delay?ms=300'
for worker in 0 1 0 1 0; do ask $worker agent-token-1; done
equal "a good token is good" good "$(answer_of agent-token-1 1)"
equal "for all who asked for it, on all workers" good "$(answer_of agent-token-1 5)"
equal "one TokenReview answers them" 1 "$(reviews)"
ask 1 agent-token-1
equal "and those who ask later" good "$(answer_of agent-token-1 6)"
equal "without another" 1 "$(reviews)"
control 'delay?ms=0'
judged "a token for several audiences is good" agent-token-2 '^good$'
judged "so is one whose authenticator knows no audiences" unaware '^good$'
judged "a token for another audience is not" other-audience 'does not accept the token: .*audience'
judged "nor one that was judged for another audience" wrong-answer 'not meant for the audience'
judged "nor that of another account" other-account "somebody else: system:serviceaccount:kube-system:other"
judged "nor that of another namespace's account" other-space "somebody else: system:serviceaccount:default:"
judged "nor that of a person" admin "somebody else: kubernetes-admin"
judged "nor one that nobody knows" rubbish 'does not accept the token: \[invalid bearer token'
before=$(reviews)
ask 1 rubbish
matches "what was refused is refused again" 'refused: ' "$(answer_of rubbish 2)"
equal "without asking again" "$before" "$(reviews)"

echo bearer-secret-2 >"$WORK/bearer"
judged "a renewed token of ours is read when the old one is refused" agent-token-3 '^good$'
control 'fail?times=2&status=429&after=1'
judged "an overloaded API server is asked again" agent-token-4 '^good$'
control 'fail?times=1&status=500'
judged "so is one that failed" agent-token-5 '^good$'
control 'garbage?on=true'
judged "what is no TokenReview is no proof" agent-token-6 'no TokenReview'
control 'garbage?on=false'
ask 0 agent-token-6
equal "and nothing to remember" good "$(answer_of agent-token-6 2)"
equal "requests share a connection" 1 "$(control connections)"

# -- leases -----------------------------------------------------------------------------------------------------------
check "our lease is valid in the eyes of the proxy-server's own code" wait_for 10 \
    lease_matches konnectivity-proxy-server-server-1 "holder=server-1 valid=true .*labels=$LABEL "
first=$(lease konnectivity-proxy-server-server-1 | sed 's/.*version=\([0-9]*\).*/\1/')
control "lease?name=konnectivity-proxy-server-gone&age=40s&label=$LABEL"
control "lease?name=konnectivity-proxy-server-alive&age=1s&label=$LABEL"
control "lease?name=unrelated&age=40s&label=a=b"
renewed() { [ "$(lease konnectivity-proxy-server-server-1 | sed 's/.*version=\([0-9]*\).*/\1/')" != "$first" ]; }
check "it is renewed" wait_for 20 renewed
check "one that is over is deleted" wait_for 20 is_gone konnectivity-proxy-server-gone
check "one that is valid stays" lease_matches konnectivity-proxy-server-alive valid=true
check "and so does what has another label" lease_matches unrelated valid=false
equal "the proxy-server's metrics tell of it" 1 "$(metric konnectivity_network_proxy_server_culled_leases_count)"
matches "lists are counted by status" '^[1-9]' "$(metric 'konnectivity_network_proxy_server_lease_list_total{http_status_code="200",reason=""}')"
control "lease?name=konnectivity-proxy-server-server-1&age=40s&label=$LABEL" # somebody else writes it
check "a conflict is won back, and what they wrote stays" wait_for 20 \
    lease_matches konnectivity-proxy-server-server-1 'holder=server-1 valid=true .*annotations=by=test'
matches "the conflict was met" 'PUT /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/konnectivity-proxy-server-server-1 409' "$(control counts)"

# -- silence, leaving, the end ----------------------------------------------------------------------------------------
control 'hang?on=true'
begun=$(date +%s%N)
ask 0 silence
ask 1 silence
matches "a silent API server costs a limited time" 'could not be asked: the API server did not answer in time' "$(answer_of silence 2 15)"
took=$((($(date +%s%N) - begun) / 1000000))
check "ten seconds ($took ms)" [ $took -lt 12000 ]
ask 0 left
ask 1 left
echo leave >&7
control 'hang?on=false'
judged "it is asked again" after-silence 'does not accept the token'
equal "who has left hears nothing" 0 "$(answers left)"
asker_stop
check "our lease is gone" is_gone konnectivity-proxy-server-server-1
equal "the broker said nothing wrong" "" "$(control wrong)"
lacks "no secret is in the log" 'bearer-secret|agent-token-1.*event|token=' "$(cat "$WORK/hawser.log")"
stop "$KUBEAPI"

# -- HTTP/1.1, by certificate, under another name, everything in one file ----------------------------------------------
base64_of() { base64 -w0 "$1"; }
kubeconfig "certificate-authority-data: $(base64_of "$WORK/api-ca/ca.crt"), tls-server-name: api.internal" \
    "client-certificate-data: $(base64_of "$WORK/client.crt"), client-key-data: $(base64_of "$WORK/client.key")"
config server-2
api_start -http1 -client-ca "$WORK/api-ca/ca.crt"
asker_start
for i in 1 2 3 4; do ask $((i % 2)) "agent-token-$i"; done
for i in 1 2 3 4; do equal "over HTTP/1.1 and by certificate, token $i" good "$(answer_of "agent-token-$i")"; done
check "there is a lease" wait_for 10 lease_matches konnectivity-proxy-server-server-2 'holder=server-2 valid=true'
asker_stop
check "and none when it has gone" is_gone konnectivity-proxy-server-server-2
equal "over HTTP/1.1 it said nothing wrong either" "" "$(control wrong)"

# -- everything that it is known by is renewed, while we run -------------------------------------------------------------
stop "$KUBEAPI"
mkdir "$WORK/live"
"$PKI" ca --out "$WORK/api-ca-2" --name api-ca-2 --quiet &&
    "$PKI" server --ca "$WORK/api-ca-2" --cn kube-apiserver --ip 127.0.0.1 --out "$WORK/api-2" --quiet &&
    "$PKI" client --ca "$WORK/api-ca-2" --cn konnectivity-server --out "$WORK/client-2" --quiet || die "hawser-pki failed"
cp "$WORK/api-ca/ca.crt" "$WORK/client.crt" "$WORK/client.key" "$WORK/live/"
kubeconfig "certificate-authority: live/ca.crt" "client-certificate: live/client.crt, client-key: live/client.key"
config server-4
said() { grep -qaE -- "$1" "$WORK/hawser.log"; }
api_start -client-ca "$WORK/api-ca/ca.crt"
asker_start
judged "before" agent-token-1 '^good$'
stop "$KUBEAPI"
api_start -client-ca "$WORK/api-ca-2/ca.crt" -cert "$WORK/api-2.crt" -key "$WORK/api-2.key"
judged "the API server's new CA is not trusted for its name" agent-token-2 'could not be asked: .*no trust root signs the certificate'
cp "$WORK/api-ca-2/ca.crt" "$WORK/live/ca.crt"
check "until the file has it" wait_for 15 said 'event=reloaded .*kubernetes api: certificate-authority \(until '
judged "the API server does not know our certificate yet" agent-token-3 'could not be asked: '
cp "$WORK/client-2.crt" "$WORK/live/client.crt"
check "half of a pair is refused" wait_for 15 said 'event=reload_failed .*kubernetes api: client-key: found .*not the key of .*what was in force stays'
cp "$WORK/client-2.key" "$WORK/live/client.key"
check "and the whole is taken" wait_for 15 said 'event=reloaded .*kubernetes api: client-certificate \(until .*\), client-key'
judged "by which it knows us" agent-token-4 '^good$'
check "our lease is there as well" wait_for 20 lease_matches konnectivity-proxy-server-server-4 'holder=server-4 valid=true'
asker_stop
stop "$KUBEAPI"
api_start -http1 -client-ca "$WORK/api-ca/ca.crt"

# -- somebody else answers --------------------------------------------------------------------------------------------
asked_before=$(reviews)
kubeconfig "certificate-authority: rogue-ca/ca.crt" "tokenFile: bearer"
config server-3
asker_start
ask 0 agent-token-1
matches "who is not of the CA is not asked" 'could not be asked: .*no trust root signs the certificate' "$(answer_of agent-token-1)"
equal "and sees no request" "$asked_before" "$(reviews)"
asker_stop
kubeconfig "certificate-authority: api-ca/ca.crt, tls-server-name: api.elsewhere" "tokenFile: bearer"
asker_start
ask 0 agent-token-1
matches "nor is who has another name" 'could not be asked: .*expected dNSName SAN api\.elsewhere' "$(answer_of agent-token-1)"
equal "who sees no request either" "$asked_before" "$(reviews)"
asker_stop
stop "$KUBEAPI"

# -- what is wrong is said at start -------------------------------------------------------------------------------------
refused() { # refused SENTENCE PATTERN
    local said
    said=$(env -u KUBERNETES_SERVICE_HOST timeout 20 "$HAWSER_BUILD/hawser" serve --config "$WORK/hawser.yaml" 2>&1) &&
        fail "$1: it started"
    matches "$1" "$2" "$said"
}
kubeconfig "certificate-authority: api-ca/ca.crt" "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}"
refused "plugins are not run" 'kubeconfig:6:[0-9]+: users\[0\]\.user\.exec: found a setting that is not supported'
kubeconfig "insecure-skip-tls-verify: true" "tokenFile: bearer"
refused "the API server is always verified" 'clusters\[0\]\.cluster\.insecure-skip-tls-verify: found'
kubeconfig "certificate-authority: nowhere.crt" "tokenFile: bearer"
refused "a CA that is not there" 'clusters\[0\]\.cluster\.certificate-authority: found .*nowhere\.crt'
kubeconfig "certificate-authority: api-ca/ca.crt" "tokenFile: nothing"
refused "a token that is not there" 'kubernetes api: tokenFile: found ".*/nothing" \(no such file\), expected a file that can be read'
kubeconfig "certificate-authority: api-ca/ca.crt" "tokenFile: bearer"
config Server_3
refused "an id that no lease can have" 'agents\.serverId: found "Server_3", expected lower-case'
config server-3
sed -i "s/kubeconfigFile: [^,]*, //" "$WORK/hawser.yaml"
refused "no credentials at all" 'kubernetes\.kubeconfigFile: found none, and no KUBERNETES_SERVICE_HOST'
