#!/usr/bin/env bash
# A cluster with the operator of this tree, a MeshCA, and Istio under it. May be run again at any time: what is there
# stays, and the operator is built anew.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./cluster.sh

ISTIO_VERSION=${ISTIO_VERSION:-1.30.3}
ISTIO_CHARTS=https://istio-release.storage.googleapis.com/charts

istio() {
    helm upgrade --install "$@" --repo "$ISTIO_CHARTS" --version "$ISTIO_VERSION" \
        --namespace istio-system --kube-context "kind-$CLUSTER" --wait --timeout 5m
}

need docker kind helm kubectl
docker info >/dev/null 2>&1 || {
    echo "docker is here, but no engine answers it: start it, and see that 'docker info' works for you." >&2
    exit 2
}

say "cluster $CLUSTER"
if ! kind get clusters 2>/dev/null | grep -qxF "$CLUSTER"; then
    kind create cluster --name "$CLUSTER" --config cluster.yaml --wait 3m
fi

say "image $(image)"
docker build --tag "$(image)" ..
kind load docker-image "$(image)" --name "$CLUSTER"

say "operator"
# The namespace of istiod comes first: the operator writes cacerts there, and istiod takes up a CA only if cacerts is
# there when it starts.
kube create namespace istio-system --dry-run=client --output=yaml | kube apply -f -
before=$(kube get deployment meshca --namespace meshca-system --ignore-not-found --output=name)
kube apply -k ../deploy
if [ -n "$before" ]; then kube rollout restart deployment/meshca --namespace meshca-system; fi
kube rollout status deployment/meshca --namespace meshca-system --timeout=3m
kube apply -f meshca.yaml
kube wait --for=condition=Ready meshca/mesh --timeout=1m

say "Istio $ISTIO_VERSION"
istio istio-base base
istio istiod istiod --values istio-values.yaml

say "ready"
kube get meshca
