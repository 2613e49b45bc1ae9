#!/usr/bin/env bash
# What is wrong with a configuration is said in one line: file, line and column, field, found, expected; exit code 2; and
# serve opens nothing.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
make_pki
hawser=$HAWSER_BUILD/hawser
usual_config "$WORK/good.yaml" </dev/null
"$PKI" client --ca "$WORK/kubelet-ca" --cn other --out "$WORK/other" --quiet
"$PKI" client --ca "$WORK/kubelet-ca" --cn readable --out "$WORK/readable" --quiet
chmod 644 "$WORK/readable.key"
printf 'not a certificate\n' >"$WORK/text"

# with SENTENCE SED PATTERN: a copy of the good file, changed, must be refused by check and by serve alike
with() {
    local sentence=$1 pattern=$3 verb out status
    sed "$2" "$WORK/good.yaml" >"$WORK/bad.yaml"
    refute "$sentence: the file differs" cmp -s "$WORK/good.yaml" "$WORK/bad.yaml"
    for verb in check serve; do
        out=$(timeout 20 "$hawser" $verb --config "$WORK/bad.yaml" 2>&1)
        status=$?
        equal "$sentence: $verb: exit code" 2 $status
        equal "$sentence: $verb: one line" 1 "$(wc -l <<<"$out")"
        matches "$sentence: $verb: where and what" "^$WORK/bad\\.yaml:[0-9]+:[0-9]+: $pattern" "$out"
        lacks "$sentence: $verb: no sanitizer" "Sanitizer|runtime error" "$out"
        refute "$sentence: $verb opens nothing" test -e "$UNIX"
    done
}
out=$("$hawser" check --config "$WORK/good.yaml" 2>&1)
equal "a good file: exit code" 0 $?
matches "a good file: a summary" "unix" "$out"
refute "check opens nothing" test -e "$UNIX"

with "unknown field" 's/^admin:/admni: 1\nadmin:/' '.*admni.*'
with "unknown field inside" 's/    caFile:/    cafile:/' '.*cafile.*'
with "wrong type" 's/^workers: .*/workers: many/' '.*workers.*many.*'
with "out of range" 's/^workers: .*/workers: 100000/' '.*workers.*100000.*64.*'
with "negative" 's/^workers: .*/workers: -1/' '.*workers.*-1.*'
with "unknown word" 's/schemes: \[https\]/schemes: [gopher]/' '.*schemes.*gopher.*http.*'
with "missing file" "s#caFile: .*#caFile: $WORK/nowhere.crt#" '.*caFile.*nowhere.crt.*'
with "a file that is no certificate" "s#caFile: .*#caFile: $WORK/text#" '.*caFile.*text.*'
with "key of another certificate" "s#clientKeyFile: .*#clientKeyFile: $WORK/other.key#" '.*clientKeyFile.*'
with "a key that everybody can read" "s#clientKeyFile: .*#clientKeyFile: $WORK/readable.key#" '.*clientKeyFile.*'
with "a key without its certificate" "/clientCertificateFile:/d" '.*client(Key|Certificate)File.*'
with "unknown profile" 's/tlsProfile: kubelet/tlsProfile: kublet/' '.*tlsProfile.*kublet.*'
with "bad CIDR" 's#127.64.0.0/10\], ports: \[10250\]#127.64.0.0/33], ports: [10250]#' '.*cidrs.*127.64.0.0/33.*'
with "bad port" 's/ports: \[10250\]/ports: [0]/' '.*ports.*'
with "agents without a listener for them" 's/tlsProfile: kubelet/tlsProfile: kubelet\n    via: [direct, agent]/' '.*via.*agent.*serves: agents.*'
with "agents on a Unix socket" 's/^  - name: unix/  - name: unix\n    serves: agents/' '.*serves.*Unix socket.*tls.*'
with "one strategy twice" 's/^admin:/agents: {strategies: [default, default]}\nadmin:/' '.*strategies\[1\].*default.*'
with "two listeners of one name" 's#^tlsProfiles:#  - name: unix\n    unix: {path: /tmp/x.sock}\ntlsProfiles:#' '.*name.*unix.*'
with "no listeners" '/^listeners:/,/unix: {/d' '.*listeners.*'
with "another version of the format" 's#v1alpha1#v9#' '.*apiVersion.*v9.*'
with "no kind" '/^kind:/d' '.*kind.*'
with "not YAML" 's/^workers: .*/workers: [1/' '.*'
with "a field twice" 's/^workers: .*/workers: 1\nworkers: 2/' '.*workers.*'

out=$("$hawser" check --config "$WORK/nowhere.yaml" 2>&1)
equal "no file: exit code" 2 $?
matches "no file: which" "nowhere.yaml" "$out"
for arguments in "" "frobnicate" "serve" "serve --config" "check --conf x" "serve --config a b"; do
    # shellcheck disable=SC2086
    out=$("$hawser" $arguments 2>&1)
    equal "'hawser $arguments': exit code" 2 $?
    check "'hawser $arguments': says something" [ -n "$out" ]
done
out=$("$hawser" version)
equal "version: exit code" 0 $?
matches "version: engine and crypto" "engine: uring" "$out"
matches "version: crypto" "crypto: ." "$out"
matches "help: the commands" "hawser serve --config FILE" "$("$hawser" help)"
matches "help config: every setting" "connectionsPerEndpointMax" "$("$hawser" help config)"
check "dump is a configuration that check accepts" bash -c '"$0" dump --config "$1" >"$2" && "$0" check --config "$2" >/dev/null' "$hawser" "$WORK/good.yaml" "$WORK/dump.yaml"

# A place that is taken: serve fails with one word of why, and leaves nothing behind.
printf 'precious\n' >"$UNIX"
out=$(timeout 20 "$hawser" serve --config "$WORK/good.yaml" 2>&1)
check "a file in the socket's place: refused ($?)" [ "$(cat "$UNIX")" = precious ]
matches "and said" "listen|socket" "$out"
rm -f "$UNIX"
start occupant python3 "$PEERS/backend.py" 127.0.0.1 "$ADMIN" "$WORK/ledger"
wait_for 10 listens 127.0.0.1 "$ADMIN"
timeout 20 "$hawser" serve --config "$WORK/good.yaml" >"$WORK/out" 2>&1
equal "a port in use: exit code" 1 $?
matches "and said" "listener admin.*in use" "$(cat "$WORK/out")"
