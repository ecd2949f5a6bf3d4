obtain_redis() {
    redis_program=$(command -v redis-server) || {
        services_debian redis redis-server redis-tools libatomic1 libjemalloc2 liblzf1 || return
        redis_program=$services_found/redis-server
        services_wrapper "$redis_program" /usr/bin/redis-server || return
    }
}

start_redis() {
    local port
    port=$(services_port) || return
    "$redis_program" --port "$port" --bind 127.0.0.1 --dir "$1" --save '' --appendonly no \
        >"$1/log" 2>&1 &
    services_await $! services_answers "$port" PING +PONG || return
    export KRATOS_TEST_REDIS=redis://127.0.0.1:$port/0 KRATOS_TEST_REDIS_SERVER=$redis_program
}
