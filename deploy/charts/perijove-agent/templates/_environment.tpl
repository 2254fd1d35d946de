{{/* What the agent is told. */}}
{{- define "perijove-agent.environment" -}}
- name: PERIJOVE_AGENT_PLATFORM_URL
  value: {{ .Values.platform.url | trimSuffix "/" | quote }}
- name: PERIJOVE_AGENT_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: PERIJOVE_AGENT_INSTANCE
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: PERIJOVE_AGENT_CREDENTIAL_SECRET
  value: {{ include "perijove-agent.credentialSecret" . }}
{{- if include "perijove-agent.registrationSecret" . }}
- name: PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE
  value: /etc/perijove/registration/token
{{- end }}
{{- if include "perijove-agent.caConfigMap" . }}
- name: PERIJOVE_AGENT_CA_FILE
  value: /etc/perijove/ca/ca.crt
{{- end }}
- name: PERIJOVE_AGENT_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- if or .Values.proxy.url .Values.proxy.existingSecret.name }}
# The agent takes these for the platform only, never for the kube-apiserver or pods.
{{- range list "HTTPS_PROXY" "HTTP_PROXY" }}
- name: {{ . }}
  {{- if $.Values.proxy.existingSecret.name }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.proxy.existingSecret.name }}
      key: {{ $.Values.proxy.existingSecret.key }}
  {{- else }}
  value: {{ $.Values.proxy.url | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
