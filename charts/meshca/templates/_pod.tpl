{{/* What the Pod Security Standard "restricted" asks of a pod and of a container, and a read-only file system. */}}
{{- define "meshca.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "meshca.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
The pod that asks every pod of the operator whether it works: `helm test`, and what a MeshCA waits for that comes with
the CRD. It has no rights: no token of its ServiceAccount, and no label of the operator's.
*/}}
{{- define "meshca.checkPod" -}}
metadata:
  labels:
    {{- include "meshca.checkSelectorLabels" . | nindent 4 }}
    {{- include "meshca.commonLabels" (list . (include "meshca.outsideTheMesh" . | fromYaml)) | nindent 4 }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "meshca.podSecurityContext" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  containers:
  - name: check
    image: {{ include "meshca.image" . }}
    {{- with .Values.image.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    command:
    - python
    - -c
    - |
      {{- .Files.Get "files/check.py" | nindent 6 }}
    - {{ include "meshca.fullname" . }}-metrics.{{ .Release.Namespace }}.svc:8080
    - "120"
    resources:  # the operator's: a quota or a policy that asks for limits asks for them here too
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "meshca.containerSecurityContext" . | nindent 6 }}
{{- end -}}
