# A collector with the parts that tests need, made of Jaeger, which is one, too; see otelcol/main.go. The
# checksum database lacks entries of what it takes; it is a tool for tests, which is shipped to
# nobody.
obtain_otelcol() {
    GOSUMDB=off services_go_changed otelcol ./cmd/jaeger/tests \
        github.com/jaegertracing/jaeger@v1.76.0 otelcol_parts || return
    otelcol_program=$services_found/bin/otelcol
}

otelcol_parts() {
    local here=$services_here/backends/otelcol contrib=github.com/open-telemetry/opentelemetry-collector-contrib
    local storage=cmd/jaeger/internal/extension/jaegerstorage factory=internal/storage/v1/factory
    rm "$storage"/{config,extension}.go "$factory"/*.go && mkdir cmd/jaeger/tests || return
    cp "$here/main.go" cmd/jaeger/tests && cp "$here/storage.go" "$storage" &&
        cp "$here/archive.go" "$factory" && go get "$contrib/receiver/fluentforwardreceiver@v0.140.1"
}

# One that prints what it is sent, for all tests: each looks for what is its own. What it prints is
# in the file KRATOS_TEST_OTELCOL_LOG.
start_otelcol() {
    local grpc http fluent
    grpc=$(services_port) && http=$(services_port) && fluent=$(services_port) || return
    cat >"$1/otelcol.yaml" <<EOF
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:$grpc}, http: {endpoint: 127.0.0.1:$http}}}
  fluentforward: {endpoint: 127.0.0.1:$fluent}
exporters:
  debug: {verbosity: detailed}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp, fluentforward], exporters: [debug]}
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
