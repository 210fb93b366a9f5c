#!/usr/bin/env bash
# kubectl where no pod runs: the real one for all that an API server answers; what needs a kubelet or a controller is
# told by files in $STORY.
printf 'kubectl %s\n' "$*" >>"$CALLS"
case " $* " in
    *" rollout "* | *" delete namespace "*) ;;
    *" logs deployment/outsider "*) cat "$STORY/outsider" ;;
    *" logs deployment/left "*) echo "requests=$(date +%s) $(cat "$STORY/left")" ;;
    *" logs deployment/right "*) echo "requests=$(date +%s) $(cat "$STORY/right")" ;;
    *" get configmap istio-ca-root-cert "*)
        if [ -e "$STORY/istiod-is-deaf" ]; then exit 0; fi
        exec "$KUBECTL" get secret cacerts --namespace=istio-system \
            --output=go-template='{{index .data "root-cert.pem" | base64decode}}'
        ;;
    *) exec "$KUBECTL" "$@" ;;
esac
