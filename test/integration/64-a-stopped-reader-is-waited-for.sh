#!/usr/bin/env bash
# Followed logs whose reader stops for more than a minute, longer than any TCP_USER_TIMEOUT of ours, and then goes on; and a
# stdin that a container leaves alone as long. On every way, all at once. Every byte arrives, nothing is cut, and the writer
# was made to wait meanwhile: nothing piled up in the broker either.
. "$(dirname "$0")/lib.sh"
. "$HAWSER_SOURCE/test/integration/hawser.sh"
. "$HAWSER_SOURCE/test/integration/interop.sh"

PAUSE=${PAUSE:-70}
RUNNING=()
interop_pki
interop_config "$WORK/hawser.yaml" </dev/null
kubelet_start
hawser_start "$WORK/hawser.yaml"
egress_config unix
egress_config mtls
for way in "connect unix" "connect mtls" "bridge unix" "bridge mtls" "forward unix" "forward mtls"; do
    read -r kind transport <<<"$way"
    # shellcheck disable=SC2046 # options are words
    start "$kind-$transport" "$PROGRAM" stalls $("${kind}_by" "$transport") -pause "${PAUSE}s"
    RUNNING+=("$kind-$transport:$PID")
done
for run in "${RUNNING[@]}"; do
    check "${run%%:*}: something is missing" wait "${run##*:}"
    grep -aE '^(FAIL|apiserver:)' "$WORK/${run%%:*}.log" >&2
done
# 4 ways over HTTP/1.1 and HTTP/2, 2 over HTTP/1.1 alone
equal "long logs that the kubelet wrote to their end" 10 "$(grep -c '^log burst-48000.*complete' "$WORK/kubelet.log")"
equal "and short ones" 6 "$(grep -c '^log burst-2000.*complete' "$WORK/kubelet.log")"
while read -r ms; do
    check "the writer was made to wait, $ms ms of $PAUSE s" [ "$ms" -ge $((PAUSE * 800)) ]
done < <(sed -n 's/^log burst-48000.*longest write \([0-9]*\) ms$/\1/p' "$WORK/kubelet.log")
check "tunnels are over" wait_for 5 metric_is hawser_requests_in_flight 0
hawser_stop
