#!/usr/bin/env bash
# Deletes the cluster that up.sh made, with all that is in it.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./cluster.sh

need kind docker
kind delete cluster --name "$CLUSTER"
