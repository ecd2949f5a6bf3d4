# A series under the MPL, as Consul is open source no longer since 1.17.
obtain_consul() {
    consul_program=$(command -v consul) || {
        services_go_changed consul . github.com/hashicorp/consul@v1.14.11 consul_without_clouds || return
        consul_program=$services_found/bin/consul
    }
}

# It finds servers to join in a dozen clouds, and lets users of Kubernetes in: the clients for that
# are a quarter of its 1,700 packages. What it replaces by folders of its repository is to be had as
# modules.
consul_without_clouds() {
    local part
    for part in api sdk proto-public; do
        go mod edit -dropreplace "github.com/hashicorp/consul/$part" || return
    done
    go mod edit -replace "github.com/hashicorp/go-discover=$services_here/backends/consul/go-discover" &&
        rm -r agent/consul/authmethod/kubeauth &&
        sed -i '/authmethod\/kubeauth"/d' agent/consul/acl_authmethod.go
}

start_consul() {
    local http server gossip
    http=$(services_port) && server=$(services_port) && gossip=$(services_port) || return
    "$consul_program" agent -dev -node test -bind 127.0.0.1 -client 127.0.0.1 -log-level warn \
        -http-port "$http" -server-port "$server" -serf-lan-port "$gossip" -serf-wan-port -1 \
        -dns-port -1 -grpc-port -1 -grpc-tls-port -1 >"$1/log" 2>&1 &
    services_await $! services_leads "$http" || return
    export KRATOS_TEST_CONSUL=127.0.0.1:$http KRATOS_TEST_CONSUL_SERVER=$consul_program
}

# services_leads <port>: whether a leader has been elected; before that it answers with "".
services_leads() {
    local answer
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1" &&
            printf 'GET /v1/status/leader HTTP/1.0\r\n\r\n' >&3 &&
            answer=$(timeout 2 cat <&3) && [[ "$answer" = *'"127.'* ]]
    ) 2>/dev/null
}
