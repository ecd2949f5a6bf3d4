# The newest etcd besides the one that is served as a wheel: 45 seconds of a CPU to build.
obtain_etcd37() {
    services_go etcd37 go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3@v3.7.3 || return
    etcd37_program=$services_found/bin/server
}

start_etcd37() {
    etcd_run "$1" "$etcd37_program" || return
    export KRATOS_TEST_ETCD37=$etcd_address KRATOS_TEST_ETCD37_SERVER=$etcd37_program
}
