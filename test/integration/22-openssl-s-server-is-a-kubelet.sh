#!/usr/bin/env bash
# openssl s_server as kubelet: TLS 1.3 and 1.2, P-256 and RSA. It closes each connection after its answer, so each request
# dials; resumption is counted on both sides.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
REQUESTS=${REQUESTS:-50}
declare -A AT
for version in tls1_2 tls1_3; do
    for key in p256 rsa2048; do
        name=$version-$key
        AT[$name]=$(free_address 10250)
        kubelet_certificate "$name" "${AT[$name]}" --key $key
        start "$name" openssl s_server -accept "${AT[$name]}:10250" -cert "$WORK/$name.crt" -key "$WORK/$name.key" -"$version" \
            -Verify 2 -CAfile "$WORK/kubelet-ca/ca.crt" -verify_return_error -www -alpn http/1.1
    done
done
usual_config "$WORK/hawser.yaml" </dev/null
hawser_start "$WORK/hawser.yaml"
for name in "${!AT[@]}"; do
    wait_for 10 listens "${AT[$name]}" 10250 || die "$name did not start"
done

for name in "${!AT[@]}"; do
    full=$(metric 'hawser_tls_handshakes_total{kind="full"}')
    resumed=$(metric 'hawser_tls_handshakes_total{kind="resumed"}')
    url=https://${AT[$name]}:10250/
    # s_server ends its answer by closing; its page says what the handshake was.
    for _ in $(seq "$REQUESTS"); do via "$url" -m 20 -w '\n%{http_code}\n'; done >"$WORK/$name.pages" 2>&1
    full=$(($(metric 'hawser_tls_handshakes_total{kind="full"}') - full))
    resumed=$(($(metric 'hawser_tls_handshakes_total{kind="resumed"}') - resumed))
    theirs=$(grep -ac '^Reused, ' "$WORK/$name.pages")
    echo "$name: $REQUESTS requests, $resumed resumed and $full full; s_server says $theirs were reused"
    grep -a event=access "$WORK/hawser.log" | grep -av end=done # once one of many hundreds was not answered: say how it ended
    equal "$name: all answered" "$REQUESTS" "$(grep -c '^200$' "$WORK/$name.pages")"
    equal "$name: each request dialled" "$REQUESTS" $((full + resumed))
    equal "$name: one full handshake" 1 "$full"
    equal "$name: s_server counts the same" "$resumed" "$theirs"
    matches "$name: the version" "Protocol *: TLSv1\\.${name:5:1}" "$(cat "$WORK/$name.pages")"
done
matches "statusz tells them apart" "\"tlsResumed\": $((REQUESTS - 1))" "$(curl -sS "http://127.0.0.1:$ADMIN/statusz")"

# Without resumption every handshake is a full one.
hawser_stop
sed -i 's/^    clientKeyFile:/    resumption: false\n    clientKeyFile:/' "$WORK/hawser.yaml"
hawser_start "$WORK/hawser.yaml"
for _ in 1 2 3 4 5; do via "https://${AT[tls1_3-p256]}:10250/" -o /dev/null; done
equal "resumption: false" "5 0" "$(metric 'hawser_tls_handshakes_total{kind="full"}') $(metric 'hawser_tls_handshakes_total{kind="resumed"}')"
hawser_stop
