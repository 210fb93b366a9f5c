# shellcheck shell=bash
# Sourced by up.sh, down.sh and check.sh: which cluster, and how each of them talks.

CLUSTER=${CLUSTER:-meshca}

say() { printf '\n== %s\n' "$*"; }

# No other cluster is ever touched, whatever kubectl's current context is.
kube() { kubectl --context "kind-$CLUSTER" "$@"; }

# need TOOL...: exit code 2 when one is missing.
need() {
    local tool missing=()
    for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "missing: ${missing[*]}. kind/README.md says what is needed and where it is to be had." >&2
        exit 2
    fi
}

# The image that deploy/ names: what is built here takes its place in the cluster.
image() { sed -n 's/^ *image: *//p' ../deploy/deployment.yaml; }
