#!/usr/bin/env bash
# The broker without a client certificate: a bearer token from a file towards kubelets with RSA certificates. The client's own
# Authorization does not reach the kubelet, and the token is in no log, here in JSON.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
PORT=$(free_port)
BASE=$(free_address "$PORT")
BASE=${BASE%.*}.20
TOKEN=not-for-the-log-$RANDOM
printf '%s\n' "$TOKEN" >"$WORK/token"
chmod 600 "$WORK/token"
start sim "$HAWSER_BUILD/tools/kubelet-sim" --base "$BASE" --port "$PORT" --count 2 --key rsa2048 --ca "$WORK/kubelet-ca" \
    --token-file "$WORK/token" --ready-file "$WORK/ready" --threads 1
usual_config "$WORK/hawser.yaml" <<YAML
log: {format: json}
YAML
sed -i "s/ports: \[10250\]/ports: [$PORT]/; s|clientCertificateFile: .*|bearerTokenFile: $WORK/token|; /clientKeyFile/d" "$WORK/hawser.yaml"
check "the configuration is good" "$HAWSER_BUILD/hawser" check --config "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
wait_for 20 test -e "$WORK/ready" || die "kubelet-sim did not become ready"

equal "with the token" 200 "$(via "https://$BASE:$PORT/healthz" -o "$WORK/body" -w '%{http_code}')"
equal "the client's Authorization is replaced" 200 \
    "$(via "https://$BASE:$PORT/healthz" -H 'Authorization: Bearer another' -o "$WORK/body" -w '%{http_code}')"
matches "no certificate was shown" '"client_cn":""' "$(via "https://$BASE:$PORT/whoami")"
refute "the token is in the log" grep -q "$TOKEN" "$WORK/hawser.log"
check "every line of the log is JSON" jq -e . "$WORK/hawser.log"
hawser_stop

printf '\n' >"$WORK/token"
refute "an empty token passes" "$HAWSER_BUILD/hawser" check --config "$WORK/hawser.yaml"
