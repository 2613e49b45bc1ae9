#!/usr/bin/env bash
# hawser-pki, judged by openssl: every kind of certificate, good and deliberately bad, with both kinds of key.
. "$(dirname "$0")/lib.sh"
pki=$HAWSER_BUILD/tools/hawser-pki
cd "$WORK" || exit 1

text() { openssl x509 -in "$1" -noout -text; }
verify() { openssl verify -CAfile "$1/ca.crt" "${@:3}" "$2" >verify.log 2>&1; }
same_key() { [ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout)" ]; }
status_of() { "$@" >out.log 2>err.log; echo $?; }

for kind in p256 rsa2048; do
    algorithm=id-ecPublicKey
    [ $kind = p256 ] || algorithm=rsaEncryption
    check "$kind: a CA is made" "$pki" ca --out $kind --name "CA $kind" --key $kind --quiet
    ca=$(text $kind/ca.crt)
    matches "$kind: the CA has its name" "Subject: CN = CA $kind" "$ca"
    matches "$kind: the CA may sign" "CA:TRUE" "$ca"
    matches "$kind: basicConstraints is critical" "Basic Constraints: critical" "$ca"
    matches "$kind: keyUsage of a CA" "Certificate Sign, CRL Sign" "$ca"
    matches "$kind: the key is of the kind asked for" $algorithm "$ca"
    equal "$kind: the CA key is its owner's" 600 "$(stat -c %a $kind/ca.key)"
    equal "$kind: PKCS#8" "-----BEGIN PRIVATE KEY-----" "$(head -1 $kind/ca.key)"

    check "$kind: a kubelet certificate" "$pki" kubelet --ca $kind --node worker-7 --ip 10.1.2.3 --ip fd00::7 --out $kind-kubelet --key $kind --quiet
    check "$kind: openssl accepts it as a server" verify $kind $kind-kubelet.crt -purpose sslserver -verify_ip 10.1.2.3
    check "$kind: by its IPv6 address too" verify $kind $kind-kubelet.crt -verify_ip fd00::7
    check "$kind: and by its name" verify $kind $kind-kubelet.crt -verify_hostname worker-7
    refute "$kind: not by another address" verify $kind $kind-kubelet.crt -verify_ip 10.1.2.4
    refute "$kind: not as a client" verify $kind $kind-kubelet.crt -purpose sslclient
    kubelet=$(text $kind-kubelet.crt)
    matches "$kind: the subject of a node" "Subject: O = system:nodes, CN = system:node:worker-7" "$kubelet"
    matches "$kind: not a CA" "CA:FALSE" "$kubelet"
    matches "$kind: serverAuth" "TLS Web Server Authentication" "$kubelet"
    check "$kind: key and certificate belong together" same_key $kind-kubelet.crt $kind-kubelet.key
    equal "$kind: the key is its owner's" 600 "$(stat -c %a $kind-kubelet.key)"
    ski=$(openssl x509 -in $kind/ca.crt -noout -ext subjectKeyIdentifier | tail -1 | tr -d ' ')
    aki=$(openssl x509 -in $kind-kubelet.crt -noout -ext authorityKeyIdentifier | tail -1 | tr -d ' ')
    equal "$kind: the authority key id is the CA's" "$ski" "${aki#keyid:}"
    matches "$kind: the serial has 128 bits" '^serial=[4-7][0-9A-F]{31}$' "$(openssl x509 -in $kind-kubelet.crt -noout -serial)"

    check "$kind: a client certificate" "$pki" client --ca $kind --cn admin --org system:masters --org ops --out $kind-client --quiet
    check "$kind: openssl accepts it as a client" verify $kind $kind-client.crt -purpose sslclient
    refute "$kind: not as a server" verify $kind $kind-client.crt -purpose sslserver
    matches "$kind: user and groups" "O = system:masters, O = ops, CN = admin" "$(text $kind-client.crt)"
    check "$kind: a server certificate" "$pki" server --ca $kind --cn api --dns api.local --dns '*.api.local' --ip 127.0.0.1 --out $kind-server --quiet
    check "$kind: verified by a wildcard" verify $kind $kind-server.crt -purpose sslserver -verify_hostname x.api.local
done

# Deliberately bad.
"$pki" server --ca p256 --cn e --dns e --expired --out expired --quiet
matches "an expired one is refused" "certificate has expired" "$(openssl verify -CAfile p256/ca.crt expired.crt 2>&1)"
"$pki" server --ca p256 --cn e --dns e --not-after 2020-01-01T00:00:00Z --out past --quiet
matches "an end in the past is as asked" "notAfter=Jan  1 00:00:00 2020 GMT" "$(openssl x509 -in past.crt -noout -dates)"
"$pki" server --ca p256 --cn e --dns e --not-before @4102444800 --not-after @4133980800 --out future --quiet
matches "one of the future is refused" "not yet valid" "$(openssl verify -CAfile p256/ca.crt future.crt 2>&1)"
"$pki" server --cn e --dns e --self-signed --out self --quiet
refute "a self-signed one does not chain" verify p256 self.crt
matches "it is its own issuer" "Issuer: CN = e" "$(text self.crt)"
"$pki" kubelet --ca p256 --node n --ip 10.0.0.1 --no-san --out nosan --quiet
lacks "no SAN when asked" "Subject Alternative Name" "$(text nosan.crt)"
"$pki" kubelet --ca p256 --node n --ip 10.0.0.1 --eku client --out eku --quiet
refute "with the wrong usage it is no server" verify p256 eku.crt -purpose sslserver
"$pki" server --ca p256 --cn n --eku none --out noeku --quiet
lacks "no usage when asked" "Extended Key Usage" "$(text noeku.crt)"

# An intermediate: leaf files carry the chain, and the root alone is enough to verify.
check "an intermediate CA" "$pki" ca --ca p256 --out intermediate --name intermediate --quiet
check "a leaf below it" "$pki" client --ca intermediate --cn deep --out deep --quiet
equal "the file holds leaf and intermediate" 2 "$(grep -c BEGIN deep.crt)"
check "the chain leads to the root" verify p256 deep.crt -untrusted deep.crt
refute "and not without the intermediate" verify p256 deep.crt

# The quickstart's set.
check "demo" "$pki" demo --out demo --quiet
check "demo: kubelet" verify demo/kubelet-ca demo/kubelet.crt -purpose sslserver -verify_ip 127.0.0.1
check "demo: kubelet client" verify demo/kubelet-ca demo/kubelet-client.crt -purpose sslclient
check "demo: hawser" verify demo/front-ca demo/hawser.crt -purpose sslserver -verify_hostname localhost
check "demo: apiserver" verify demo/front-ca demo/apiserver.crt -purpose sslclient
refute "demo: the rogue chains to nobody" verify demo/kubelet-ca demo/rogue-client.crt
equal "demo is not overwritten" 1 "$(status_of "$pki" demo --out demo)"
equal "unless forced" 0 "$(status_of "$pki" demo --out demo --force)"
equal "a CA is not overwritten" 1 "$(status_of "$pki" ca --out p256)"

# Bad usage ends with 2, trouble with 1, each with one line.
equal "no command" 2 "$(status_of "$pki")"
equal "unknown command" 2 "$(status_of "$pki" frobnicate)"
equal "unknown option" 2 "$(status_of "$pki" ca --frob)"
equal "missing value" 2 "$(status_of "$pki" ca --out)"
equal "bad address" 2 "$(status_of "$pki" kubelet --ca p256 --node n --ip 10.0.0 --out x)"
matches "and says which" "not an IP address: 10.0.0" "$(cat err.log)"
equal "one line" 1 "$(wc -l <err.log)"
equal "bad days" 2 "$(status_of "$pki" ca --out x --days 0)"
equal "no CA there" 1 "$(status_of "$pki" client --ca nowhere --cn x --out x)"
cp p256/ca.crt rsa2048/ca.crt
equal "key and certificate of two CAs" 1 "$(status_of "$pki" client --ca rsa2048 --cn x --out x)"
matches "are told apart" "do not belong together" "$(cat err.log)"
equal "a directory that cannot be" 1 "$(status_of "$pki" client --ca p256 --cn x --out /proc/nowhere/x)"
equal "help" 0 "$(status_of "$pki" help)"
matches "help names every command" "hawser-pki kubelet" "$(cat out.log)"
equal "no temporary file is left" "" "$(find . -name '*.??????' -newer p256/ca.key -regex '.*\.\(crt\|key\)\..*')"
