obtain_memcached() {
    memcached_program=$(command -v memcached) || {
        services_debian memcached memcached libevent-2.1-7 libsasl2-2 || return
        memcached_program=$services_found/memcached
        services_wrapper "$memcached_program" /usr/bin/memcached || return
    }
}

start_memcached() {
    local port user=()
    port=$(services_port) || return
    # It refuses to run as root, unless it is told that it may.
    [ "$(id -u)" != 0 ] || user=(-u root)
    "$memcached_program" -p "$port" -l 127.0.0.1 -U 0 -I 2m "${user[@]}" >"$1/log" 2>&1 &
    services_await $! services_says "$port" $'version\r\n' 'VERSION ' || return
    export KRATOS_TEST_MEMCACHED=memcached://127.0.0.1:$port
    export KRATOS_TEST_MEMCACHED_SERVER=$memcached_program
}
