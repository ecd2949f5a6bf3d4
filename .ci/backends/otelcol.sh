# A collector of the parts that tests need, put together by OpenTelemetry's own builder. The checksum
# database lacks entries of what it takes; it is a tool for tests, which is shipped to nobody.
otelcol_recipe='receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v0.162.0
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/receiver/fluentforwardreceiver v0.162.0
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/debugexporter v0.162.0'

obtain_otelcol() {
    GOSUMDB=off services_go otelcol-builder go.opentelemetry.io/collector/cmd/builder \
        go.opentelemetry.io/collector/cmd/builder@v0.164.0 || return
    local builder=$services_found/bin/builder has
    services_has otelcol "$otelcol_recipe"
    has=$?
    otelcol_program=$services_found/otelcol
    [ "$has" != 0 ] || return 0
    mkdir -p "$services_found" || return
    printf 'dist: {name: otelcol, output_path: %s}\n%s\n' "$services_found" "$otelcol_recipe" \
        >"$services_found/recipe.yaml"
    GOSUMDB=off "$builder" --skip-strict-versioning --config "$services_found/recipe.yaml" || return
    echo "$otelcol_recipe" >"$services_found/complete"
}

# One that prints what it is sent, for all tests: each looks for what is its own. What it prints is
# in the file KRATOS_TEST_OTELCOL_LOG.
start_otelcol() {
    local grpc http fluent
    grpc=$(services_port) && http=$(services_port) && fluent=$(services_port) || return
    cat >"$1/otelcol.yaml" <<EOF
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:$grpc}, http: {endpoint: 127.0.0.1:$http}}}
  fluent_forward: {endpoint: 127.0.0.1:$fluent}
exporters:
  debug: {verbosity: detailed}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp, fluent_forward], exporters: [debug]}
EOF
    "$otelcol_program" --config "$1/otelcol.yaml" >"$1/log" 2>&1 &
    services_await $! otelcol_listens "$grpc" "$http" "$fluent" || return
    export KRATOS_TEST_OTELCOL=http://127.0.0.1:$http KRATOS_TEST_OTELCOL_GRPC=127.0.0.1:$grpc
    export KRATOS_TEST_OTELCOL_FLUENT=127.0.0.1:$fluent KRATOS_TEST_OTELCOL_LOG=$1/log
    export KRATOS_TEST_OTELCOL_SERVER=$otelcol_program
}

# otelcol_listens <port...>: whether something does on each.
otelcol_listens() {
    local port
    for port; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return
    done
}
