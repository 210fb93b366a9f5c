#!/usr/bin/env bash
# helm: installs of each of Istio's charts what the scripts and the operator look at.
set -euo pipefail
printf 'helm %s\n' "$*" >>"$CALLS"
case "$1 $2 $3 $4" in
    "upgrade --install istio-base base")
        "$KUBECTL" apply -f "$STANDINS/peerauthentication.yaml"
        "$KUBECTL" wait --for=condition=Established --timeout=30s crd/peerauthentications.security.istio.io
        ;;
    "upgrade --install istiod istiod")
        "$KUBECTL" get secret cacerts --namespace istio-system # an istiod that starts without it makes a CA of its own
        while [ "$1" != --values ]; do shift; done
        flag=$(sed -n 's/^ *ISTIO_MULTIROOT_MESH: "\(.*\)".*/\1/p' "$2")
        sed "s/\$FLAG/$flag/" "$STANDINS/istiod.yaml" | "$KUBECTL" apply -f -
        ;;
    *) exit 64 ;;
esac
