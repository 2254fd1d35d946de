{{/* Names and labels that several objects share. */}}

{{- define "perijove-agent.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "perijove-agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "perijove-agent.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of objects without a namespace: two releases of one name may stand in two namespaces. */}}
{{- define "perijove-agent.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "perijove-agent.fullname" .) -}}
{{- end -}}

{{- define "perijove-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "perijove-agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the agent's pods and not of that of `helm test`, which no controller owns. */}}
{{- define "perijove-agent.agentLabels" -}}
{{ include "perijove-agent.selectorLabels" . }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "perijove-agent.labels" -}}
{{ include "perijove-agent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: perijove
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "perijove-agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "perijove-agent.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "perijove-agent.credentialSecret" -}}
{{- .Values.credential.secretName | default (printf "%s-credential" (include "perijove-agent.fullname" .)) -}}
{{- end -}}

{{/* The Secret with the registration token; empty when there is none. */}}
{{- define "perijove-agent.registrationSecret" -}}
{{- if .Values.registration.existingSecret.name -}}
{{- .Values.registration.existingSecret.name -}}
{{- else if .Values.registration.token -}}
{{- printf "%s-registration" (include "perijove-agent.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "perijove-agent.registrationKey" -}}
{{- ternary .Values.registration.existingSecret.key "token" (ne .Values.registration.existingSecret.name "") -}}
{{- end -}}

{{/* The ConfigMap with the platform's certificates; empty when the public ones do. */}}
{{- define "perijove-agent.caConfigMap" -}}
{{- if .Values.platform.caConfigMap.name -}}
{{- .Values.platform.caConfigMap.name -}}
{{- else if .Values.platform.caBundle -}}
{{- printf "%s-ca" (include "perijove-agent.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "perijove-agent.caKey" -}}
{{- ternary .Values.platform.caConfigMap.key "ca.crt" (ne .Values.platform.caConfigMap.name "") -}}
{{- end -}}

{{- define "perijove-agent.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The port of an address, as a number: what it names, else its scheme's own. */}}
{{- define "perijove-agent.port" -}}
{{- $url := urlParse . -}}
{{- $named := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $named | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end -}}

{{/* Of every container of ours. */}}
{{- define "perijove-agent.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "perijove-agent.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}
