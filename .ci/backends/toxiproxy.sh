obtain_toxiproxy() {
    services_go toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server \
        github.com/Shopify/toxiproxy/v2@v2.5.0 \
        github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
}

# One for all tests: each makes proxies of its own.
start_toxiproxy() {
    local port
    port=$(services_port) || return
    "$services_found/bin/server" -host 127.0.0.1 -port "$port" >"$1/log" 2>&1 &
    services_await $! services_serves "$port" /proxies || return
    export KRATOS_TEST_TOXIPROXY=http://127.0.0.1:$port
}
