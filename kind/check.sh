#!/usr/bin/env bash
# One whole root rotation while two workloads ask each other over mTLS, ten times a second each way. About 12 minutes.
# Exit code 0: the rotation is over, and no request failed. 1: it is not so; what is known is printed. 2: a tool is
# missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./cluster.sh

NAMESPACE=meshca-check
WITHIN=${WITHIN:-1200}  # seconds for the rotation
LINGER=${LINGER:-150}   # seconds of load after it: every leaf of the old root has ended by then
EVERY=${EVERY:-5}       # seconds between two looks

fail() {
    printf '\nFAILED: %s\n\n' "$*" >&2
    {
        told
        kube describe meshca mesh
        kube logs --namespace meshca-system --selector=app.kubernetes.io/name=meshca --prefix --tail=20
    } >&2 || true
    exit 1
}

# workload NAME PEER SIDECAR
workload() {
    sed "s|\$NAME|$1|g; s|\$PEER|$2|g; s|\$SIDECAR|$3|g; s|\$IMAGE|$(image)|g" workload.yaml
    echo ---
}

status() { kube get meshca mesh --output="jsonpath={.status.$1}"; }

# What load.py printed last. There is nothing yet while its pod starts.
line() { kube logs "deployment/$1" --namespace "$NAMESPACE" --container=load --tail=1 2>/dev/null || true; }
told() { for name in left right outsider; do echo "$name: $(line "$name")"; done; }

# count NAME FIELD
count() { line "$1" | sed -n "s/^\(.* \)\{0,1\}$2=\([0-9]*\).*/\2/p" | grep . || echo 0; }

# Which pods count, and how often each began anew: when that changes, the counts are not whole.
pods() {
    kube get pods --namespace "$NAMESPACE" \
        --output=jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
}

file() { kube get "$1" "$2" --namespace "$3" --output=go-template="$4"; }
is_taken_up() {
    local published distributed
    published=$(file secret cacerts istio-system '{{index .data "root-cert.pem" | base64decode}}')
    distributed=$(file configmap istio-ca-root-cert "$NAMESPACE" '{{index .data "root-cert.pem"}}')
    [ -n "$published" ] && [ "$published" = "$distributed" ]
}

need kubectl
kube get meshca mesh || {
    echo "There is no MeshCA mesh in cluster $CLUSTER: run ./up.sh first." >&2
    exit 1
}

say "workloads"
kube delete namespace "$NAMESPACE" --ignore-not-found
kube apply -f namespace.yaml
kube create configmap load --namespace "$NAMESPACE" --from-file=load.py --dry-run=client --output=yaml | kube apply -f -
{
    workload left right true
    workload right left true
    workload outsider left false
} | kube apply -f -
for name in left right outsider; do
    kube rollout status "deployment/$name" --namespace "$NAMESPACE" --timeout=5m
done

say "left and right answer each other, and nobody without a sidecar"
deadline=$((SECONDS + 120))
until [ "$(count left requests)" -gt 0 ] && [ "$(count right requests)" -gt 0 ] && \
    [ "$(count outsider unanswered)" -gt 0 ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "they do not answer each other"
    sleep 1
done
[ "$(count outsider requests)" -eq 0 ] || fail "a client without a sidecar was answered: this is no mTLS"
told

say "rotation"
before=$(pods)
asked=$(count left requests)
old=$(status 'targets[0].rootRevision')
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
kube patch meshca mesh --type=merge --patch "{\"spec\":{\"root\":{\"issuedAfter\":\"$now\"}}}"
deadline=$((SECONDS + WITHIN))
phase=
until [ "$phase" = Steady ] && [ "$(status 'targets[0].rootRevision')" -gt "$old" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the rotation is not over after $WITHIN seconds"
    sleep "$EVERY"
    if [ "$(status phase)" != "$phase" ]; then
        phase=$(status phase)
        printf '%s  %-8s %s; %s\n' "$(date -u +%H:%M:%S)" "$phase" "$(line left)" "$(line right)"
    fi
done

say "the old root is gone; $LINGER seconds more, until every certificate under it has ended"
sleep "$LINGER"
told
for name in left right; do
    [ "$(count "$name" failed)" -eq 0 ] || fail "requests of $name failed"
    [ "$(count "$name" requests)" -gt "$asked" ] || fail "$name did not ask during the rotation"
done
[ "$(pods)" = "$before" ] || fail "a pod began anew, and what it had counted is lost: run this again"
is_taken_up || fail "istiod distributes other roots than cacerts has: it did not take up the rotation"

say "passed: revision $old to $(status 'targets[0].rootRevision'), 0 failed"
