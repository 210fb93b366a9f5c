{{/* What selects the operator's pods. A Deployment's selector can never change, so nothing may be added here. */}}
{{- define "meshca.selectorLabels" -}}
app.kubernetes.io/name: meshca
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What selects the pods that ask whether the operator works: they must not look like the operator's. */}}
{{- define "meshca.checkSelectorLabels" -}}
app.kubernetes.io/name: meshca-check
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
On every pod: no sidecar, no ztunnel. One whose certificate depends on the operator would be a circle; and in a
namespace with injection the pod of a Job would never end.
*/}}
{{- define "meshca.outsideTheMesh" -}}
sidecar.istio.io/inject: "false"
istio.io/dataplane-mode: none
{{- end -}}

{{- define "meshca.checkLabels" -}}
{{ include "meshca.checkSelectorLabels" . }}
{{ include "meshca.commonLabels" (list . dict) }}
{{- end -}}

{{/* On every object but the pods that ask. */}}
{{- define "meshca.labels" -}}
{{ include "meshca.labelsAnd" (list . dict) }}
{{- end -}}

{{/* The same and an object's own: (list . labels). These win over extraLabels. */}}
{{- define "meshca.labelsAnd" -}}
{{ include "meshca.selectorLabels" (first .) }}
{{ include "meshca.commonLabels" . }}
{{- end -}}

{{/* Who made it, and what people add: (list . labels). */}}
{{- define "meshca.commonLabels" -}}
{{- $root := first . -}}
app.kubernetes.io/part-of: meshca
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with merge (dict) (last . | default dict) ($root.Values.extraLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}
