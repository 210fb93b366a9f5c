{{/*
Fail where Helm would drop a changed spec without a word: (list . name digest).

Without server-side apply (Helm 3, and Helm 4 on a release that Helm 3 made) Helm patches a custom resource with what
differs between two of its own manifests. One that is there but in no manifest yet is taken over as it is, and stays so
(helm pkg/kube/client.go, createPatch). That is a MeshCA which a hook made, in the next revision, and one which an
earlier release left, at an install.
*/}}
{{- define "meshca.refuseToBeIgnored" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $live := (lookup "meshca.io/v1alpha1" "MeshCA" "" $name).metadata | default dict -}}
{{- $annotations := $live.annotations | default dict -}}
{{- $isHelm3 := hasPrefix "v3." $root.Capabilities.HelmVersion.Version -}}
{{- $isPatched := or $isHelm3 (not (include "meshca.isApplied" $live)) -}}
{{- $hookOf := index $annotations "meshca.io/hook-of-revision" | default "0" | int -}}
{{- $isTakenOver := or $root.Release.IsInstall (and $hookOf (eq $root.Release.Revision (int (add1 $hookOf)))) -}}
{{- $isChanged := ne (index $annotations "meshca.io/values-sha256" | default (index . 2)) (index . 2) -}}
{{- if and $isPatched $isTakenOver $isChanged -}}
{{- fail (printf "MeshCA %s is there already, and without server-side apply Helm takes it over as it is: %s" $name
  "leave its spec in meshCAs as it was for now, and change it in the next upgrade") -}}
{{- end -}}
{{- end -}}

{{/* Says true when Helm made an object by server-side apply; the context is the object's metadata. */}}
{{- define "meshca.isApplied" -}}
{{- range .managedFields -}}
{{- if and (eq .operation "Apply") (eq .manager "helm") -}}true{{- end -}}
{{- end -}}
{{- end -}}
