# Jaeger without the clients of the databases that it can write to; see jaeger/main.go. The checksum
# database lacks entries of what it takes; it is a tool for tests, which is shipped to nobody.
obtain_jaeger() {
    GOSUMDB=off services_go_changed jaeger ./cmd/jaeger/tests \
        github.com/jaegertracing/jaeger@v1.76.0 jaeger_in_memory
}

jaeger_in_memory() {
    local here=$services_here/backends/jaeger
    local storage=cmd/jaeger/internal/extension/jaegerstorage factory=internal/storage/v1/factory
    rm "$storage"/{config,extension}.go "$factory"/*.go && mkdir cmd/jaeger/tests || return
    cp "$here/main.go" cmd/jaeger/tests && cp "$here/storage.go" "$storage" &&
        cp "$here/archive.go" "$factory"
}

# One for all tests: each looks for a service of its own. Its own traces would go nowhere.
start_jaeger() {
    local query http grpc
    query=$(services_port) && http=$(services_port) && grpc=$(services_port) || return
    cat >"$1/jaeger.yaml" <<EOF
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: 127.0.0.1:$query}
    grpc: {endpoint: 127.0.0.1:0}
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:$grpc}, http: {endpoint: 127.0.0.1:$http}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
EOF
    OTEL_TRACES_SAMPLER=always_off "$services_found/bin/jaeger" --config "$1/jaeger.yaml" \
        >"$1/log" 2>&1 &
    services_await $! services_serves "$query" /api/services || return
    export KRATOS_TEST_JAEGER=http://127.0.0.1:$query
    export KRATOS_TEST_JAEGER_OTLP=http://127.0.0.1:$http KRATOS_TEST_JAEGER_GRPC=grpc://127.0.0.1:$grpc
}
