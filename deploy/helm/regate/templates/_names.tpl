{{- define "regate.name" -}}
{{- $name := ternary .Release.Name (printf "%s-regate" .Release.Name) (contains "regate" .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "regate.selector" -}}
app.kubernetes.io/name: regate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "regate.labels" -}}
{{ include "regate.selector" . }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "regate.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "regate.config" -}}
{{- $regate := dict "data_dir" "/var/lib/regate/data" "diag_addr" "127.0.0.1:3000" -}}
{{- $proxy := dict "enabled" false -}}
{{- if eq .Values.mode "cluster" -}}
  {{- $_ := set $regate "cluster_name" (.Values.cluster.name | default .Release.Name) -}}
  {{- if not .Values.cluster.publicAddr }}{{ fail "cluster.publicAddr: how do clients reach the proxy?" }}{{ end -}}
  {{- $proxy = dict "enabled" true "listen_addr" "0.0.0.0:3080" "public_addr" .Values.cluster.publicAddr -}}
  {{- if .Values.cluster.webCertificateSecret -}}
    {{- $_ := set $proxy "https_keypairs" (list (dict "cert_file" "/etc/regate/web/tls.crt" "key_file" "/etc/regate/web/tls.key")) -}}
  {{- end -}}
{{- else -}}
  {{- $_ := set $regate "proxy_server" (required "agent.proxyServer: which proxy does the agent dial?" .Values.agent.proxyServer) -}}
  {{- if .Values.agent.tokenSecret -}}{{- $_ := set $regate "auth_token" "/etc/regate/join/token" -}}{{- end -}}
  {{- if .Values.agent.caPin -}}{{- $_ := set $regate "ca_pin" .Values.agent.caPin -}}{{- end -}}
{{- end -}}
{{- $sections := dict
  "version" "v3"
  "regate" $regate
  "auth_service" (dict "enabled" (eq .Values.mode "cluster"))
  "proxy_service" $proxy
  "db_service" (dict "enabled" true "databases" .Values.databases)
-}}
{{- merge $sections .Values.extraConfig | toYaml }}
{{- end }}
