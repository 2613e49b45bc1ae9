#!/usr/bin/env bash
# hawser egress-config: what it prints is what kube-apiserver and kubeadm read, by a YAML parser that is not ours, and it
# leads to the listener it names; what is missing is said in one line.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"

make_pki
hawser=$HAWSER_BUILD/hawser
PORT=$(free_port)
{
    cat <<YAML
listeners:
  - name: mtls
    tcp: {address: 127.0.0.1, port: $PORT}
    tls:
      certificateFile: $WORK/front.crt
      keyFile: $WORK/front.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver, "*.control-plane"]
  - name: unix
    unix: {path: $UNIX}
routes:
  - {name: tunnels, match: {cidrs: [127.64.0.0/10], ports: [10250], schemes: [tunnel]}}
YAML
} | hawser_config "$WORK/hawser.yaml"

# printed OPTION...: as JSON in $WORK/out.json; false when the exit code is not 0 or it is not YAML
printed() {
    "$hawser" egress-config --config "$WORK/hawser.yaml" "$@" >"$WORK/out.yaml" 2>"$WORK/err" &&
        "$HAWSER_BUILD/test/integration/hawser-yaml-json" <"$WORK/out.yaml" >"$WORK/out.json"
}
is() { # is SENTENCE JQ-PATH VALUE
    equal "$1" "$3" "$(jq -r "$2" "$WORK/out.json")"
}
CLUSTER='.egressSelections[0].connection'

check "the socket is preferred" printed
is "the whole of it" 'tojson' "{\"apiVersion\":\"apiserver.k8s.io/v1beta1\",\"kind\":\"EgressSelectorConfiguration\",\"egressSelections\":[{\"name\":\"cluster\",\"connection\":{\"proxyProtocol\":\"HTTPConnect\",\"transport\":{\"uds\":{\"udsName\":\"$UNIX\"}}}}]}"

check "Konnectivity's protocol" printed --protocol grpc
is "is GRPC over the same socket" "$CLUSTER | [.proxyProtocol, .transport.uds.udsName] | join(\" \")" "GRPC $UNIX"

check "TCP when it is asked for" printed --listener mtls
is "no socket beside it" "$CLUSTER.transport | keys | join(\",\")" tcp
is "a URL with a port" "$CLUSTER.transport.tcp.url" "https://127.0.0.1:$PORT"
is "client certificate, key and CA" "$CLUSTER.transport.tcp.tlsConfig | [.caBundle, .clientCert, .clientKey] | join(\" \")" \
    "/etc/kubernetes/pki/hawser/ca.crt /etc/kubernetes/pki/hawser/client.crt /etc/kubernetes/pki/hawser/client.key"
is "no tlsServerName unless asked for: it is an error before 1.36" "$CLUSTER.transport.tcp.tlsConfig | has(\"tlsServerName\")" false
matches "the names that may come in are told" "kube-apiserver, \*\.control-plane" "$(cat "$WORK/out.yaml")"

check "other files, host and name" printed --listener mtls --host broker.example --server-name hawser --ca-file '/a "quoted" #ca' \
    --client-cert /b/c.crt --client-key /b/c.key
is "the host" "$CLUSTER.transport.tcp.url" "https://broker.example:$PORT"
is "a path that needs quotes" "$CLUSTER.transport.tcp.tlsConfig.caBundle" '/a "quoted" #ca'
is "the name" "$CLUSTER.transport.tcp.tlsConfig.tlsServerName" hawser
check "an IPv6 host" printed --listener mtls --host ::1
is "in brackets" "$CLUSTER.transport.tcp.url" "https://[::1]:$PORT"

check "kubeadm, socket" printed --kubeadm
is "its kind" '.apiVersion + " " + .kind' "kubeadm.k8s.io/v1beta4 ClusterConfiguration"
is "the argument" '.apiServer.extraArgs | tojson' '[{"name":"egress-selector-config-file","value":"/etc/kubernetes/egress-selector.yaml"}]'
is "the file is mounted as a file" '.apiServer.extraVolumes[0] | tojson' \
    '{"name":"egress-selector","hostPath":"/etc/kubernetes/egress-selector.yaml","mountPath":"/etc/kubernetes/egress-selector.yaml","readOnly":true,"pathType":"File"}'
is "the socket by its directory" '.apiServer.extraVolumes[1] | [.hostPath, .mountPath, .pathType] | join(" ")' "${UNIX%/*} ${UNIX%/*} DirectoryOrCreate"
is "and nothing else" '.apiServer.extraVolumes | length' 2
matches "the older form is told" "v1beta3" "$(cat "$WORK/out.yaml")"
check "kubeadm, TCP, files where kubeadm mounts them" printed --kubeadm --listener mtls
is "only the configuration is mounted" '.apiServer.extraVolumes | map(.name) | join(" ")' egress-selector
check "kubeadm, TCP, files elsewhere" printed --kubeadm --listener mtls --client-cert /opt/c.crt --client-key /opt/c.key --file /opt/e.yaml
is "each is mounted" '.apiServer.extraVolumes | map(.name + "=" + .hostPath) | join(" ")' \
    "egress-selector=/opt/e.yaml hawser-client-cert=/opt/c.crt hawser-client-key=/opt/c.key"
is "volumes' names are labels, no two alike" '[.apiServer.extraVolumes[].name | select(test("^[a-z0-9-]+$"))] | unique | length' 3

# What it leads to is there: the socket and the port that were printed are the broker's.
hawser_start "$WORK/hawser.yaml"
check "printed again" printed
check "the printed socket is the broker's" test -S "$(jq -r "$CLUSTER.transport.uds.udsName" "$WORK/out.json")"
check "and with TCP" printed --listener mtls --ca-file "$WORK/front-ca/ca.crt" --client-cert "$WORK/apiserver.crt" --client-key "$WORK/apiserver.key"
jq -r "$CLUSTER.transport.tcp | .url + \" \" + .tlsConfig.caBundle + \" \" + .tlsConfig.clientCert + \" \" + .tlsConfig.clientKey" "$WORK/out.json" >"$WORK/tcp"
read -r url ca certificate key <"$WORK/tcp"
equal "curl is let in with what was printed, and refused without a route" 403 \
    "$(curl --http1.1 -sS -m 20 -o /dev/null -w '%{http_code}' --cacert "$ca" --cert "$certificate" --key "$key" --request-target http://nowhere.test/ -H "Host: nowhere.test" "$url/")"
hawser_stop

refused() { # refused SENTENCE PATTERN ARGUMENT...
    local sentence=$1 pattern=$2 out
    shift 2
    out=$("$hawser" egress-config "$@" 2>&1 >"$WORK/stdout")
    equal "$sentence: exit code" 2 $?
    equal "$sentence: one line" 1 "$(wc -l <<<"$out")"
    matches "$sentence: what" "$pattern" "$out"
    check "$sentence: prints nothing" test ! -s "$WORK/stdout"
}
refused "no configuration" "expected --config FILE"
refused "a configuration that is not there" "nowhere.yaml.*no such file" --config "$WORK/nowhere.yaml"
refused "an unknown option" 'found "--listner", expected an option' --config "$WORK/hawser.yaml" --listner mtls
refused "an option without its value" "--listener: found nothing, expected NAME" --config "$WORK/hawser.yaml" --listener
refused "GRPC over TCP" "listener mtls: found tcp, expected unix: kube-apiserver has GRPC over a socket only" --config "$WORK/hawser.yaml" --protocol grpc --listener mtls
refused "an unknown protocol" 'protocol: found "h3", expected http-connect or grpc' --config "$WORK/hawser.yaml" --protocol h3
refused "an unknown listener" 'found "x", expected the name of one of listeners' --config "$WORK/hawser.yaml" --listener x
sed 's/schemes: \[tunnel\]/schemes: [http]/' "$WORK/hawser.yaml" >"$WORK/no-tunnels.yaml"
refused "no route for tunnels" "no-tunnels.yaml: routes: found none that allows tunnels on listener unix" --config "$WORK/no-tunnels.yaml"
sed '/- name: mtls/,/allowedNames/d; s#^    unix: .*#    tcp: {address: 127.0.0.1, port: 1}\n    insecure: true#' "$WORK/hawser.yaml" >"$WORK/loose.yaml"
refused "no listener for it" "listeners: found none that kube-apiserver can use, expected unix, or tcp with tls" --config "$WORK/loose.yaml"
matches "help tells the options" "--client-cert FILE" "$("$hawser" help egress-config)"
matches "help tells the command" "egress-config" "$("$hawser" help)"
