obtain_prometheus() {
    prometheus_program=$(command -v prometheus) && command -v promtool >/dev/null || {
        services_debian prometheus prometheus || return
        prometheus_program=$services_found/root/usr/bin/prometheus
    }
}

# None is started: what a Prometheus reads stands in its configuration, so tests start their own.
start_prometheus() {
    export KRATOS_TEST_PROMETHEUS=$prometheus_program
    "$prometheus_program" --version >"$1/log" 2>&1
}
