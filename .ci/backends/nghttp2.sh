obtain_nghttp2() {
    if command -v nghttp >/dev/null && command -v h2load >/dev/null; then
        nghttp2_programs=$(dirname "$(command -v h2load)")
        return
    fi
    services_debian nghttp2 nghttp2-client libev4 libicu72 libjansson4 libjemalloc2 libnghttp2-14 \
        libxml2 || return
    nghttp2_programs=$services_found
    services_wrapper "$services_found/nghttp" /usr/bin/nghttp &&
        services_wrapper "$services_found/h2load" /usr/bin/h2load
}

# None is started: they are clients.
start_nghttp2() {
    export KRATOS_TEST_NGHTTP2=$nghttp2_programs
    "$nghttp2_programs/nghttp" --version >"$1/log" 2>&1 &&
        "$nghttp2_programs/h2load" --version >>"$1/log" 2>&1
}
