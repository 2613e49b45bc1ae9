# test/integration/interop.sh — sourced after hawser.sh by the scripts in which kube-apiserver's own libraries are the client
# (test/interop/apiserver): has that program built, starts it as a kubelet, writes the configurations, and names the ways that
# lead through the broker. Without Go, with one that is too old, or without its modules, everything is skipped and says so.
. "$HAWSER_SOURCE/test/integration/go_program.sh"

FRONT=$(free_port)  # of the listener with mutual TLS
NODE=$(free_address) # the kubelet's address
interop_pki() {
    make_pki
    kubelet_certificate node-1 "$NODE"
    "$PKI" client --ca "$WORK/kubelet-ca" --cn kube-apiserver-kubelet-client --out "$WORK/kubelet-client" --quiet &&
        "$PKI" ca --out "$WORK/bridge-ca" --name bridge-ca --quiet || die "hawser-pki failed"
}

# Both listeners that kube-apiserver may use, and every way to the kubelet: its port 10250 by opaque tunnels and by requests
# that the broker makes itself, its port 10251 by tunnels that end in the bridge.
interop_config() { # interop_config FILE < more routes and top-level YAML
    {
        unix_listener
        cat <<YAML
  - name: mtls
    tcp: {address: 127.0.0.1, port: $FRONT}
    tls: {certificateFile: $WORK/front.crt, keyFile: $WORK/front.key, clientCaFile: $WORK/front-ca/ca.crt, allowedNames: [kube-apiserver]}
YAML
        kubelet_profile
        cat <<YAML
routes:
  - name: tunnels
    match: {cidrs: [127.64.0.0/10], ports: [1, 2222, 2223, 10250], schemes: [tunnel]}
  - name: kubelets
    match: {cidrs: [127.64.0.0/10], ports: [10250], schemes: [https]}
    tlsProfile: kubelet
  - name: bridged
    match: {cidrs: [127.64.0.0/10], ports: [10251], schemes: [tunnel]}
    tlsProfile: kubelet
    bridge:
      issuerCertificateFile: $WORK/bridge-ca/ca.crt
      issuerKeyFile: $WORK/bridge-ca/ca.key
      clientCaFile: $WORK/front-ca/ca.crt
      allowedNames: [kube-apiserver]
YAML
        cat
    } | hawser_config "$1"
}

egress_config() { # egress_config LISTENER: what the broker prints for kube-apiserver, $WORK/egress-LISTENER.yaml
    "$HAWSER_BUILD/hawser" egress-config --config "$WORK/hawser.yaml" --listener "$1" --ca-file "$WORK/front-ca/ca.crt" \
        --client-cert "$WORK/apiserver.crt" --client-key "$WORK/apiserver.key" >"$WORK/egress-$1.yaml" ||
        die "hawser egress-config failed"
}

kubelet_start() { # kubelet_start [OPTION...]: its process id in $KUBELET, its words in $WORK/kubelet.log
    start kubelet "$PROGRAM" kubelet -address "$NODE:10250,$NODE:10251" -cert "$WORK/node-1.crt" -key "$WORK/node-1.key" \
        -client-ca "$WORK/kubelet-ca/ca.crt" "$@"
    KUBELET=$PID
    wait_for 10 listens "$NODE" 10251 || die "the kubelet did not start"
}

# The ways, as options of the program.
identity() { echo "-ca $WORK/$1/ca.crt -cert $WORK/$2.crt -key $WORK/$2.key"; }
connect_by() { echo "-via connect -node $NODE:10250 -egress $WORK/egress-$1.yaml $(identity kubelet-ca kubelet-client)"; }
bridge_by() { echo "-via bridge -node $NODE:10251 -egress $WORK/egress-$1.yaml $(identity bridge-ca apiserver)"; }
forward_by() { # forward_by unix|mtls
    case $1 in
    unix) echo "-via forward -node $NODE:10250 -broker unix:$UNIX" ;;
    mtls) echo "-via forward -node $NODE:10250 -broker tls:127.0.0.1:$FRONT $(identity front-ca apiserver)" ;;
    esac
}

program() { # program SENTENCE COMMAND OPTION...: one of the program's commands must succeed; shows what failed
    local sentence=$1 log
    log=$WORK/$(tr -c 'a-z0-9\n' - <<<"${sentence,,}").log
    shift
    CHECKS=$((CHECKS + 1))
    "$PROGRAM" "$@" >"$log" 2>"$log.libraries" && { grep -c '^ok' "$log" | sed "s/^/$sentence: /; s/\$/ checks/"; return; }
    fail "$sentence: $(grep -aE '^(FAIL|apiserver:)' "$log" "$log.libraries" -h | head -c 4000)"
}

build_program apiserver "kube-apiserver's own client"
