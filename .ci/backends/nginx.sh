obtain_nginx() {
    nginx_program=$(command -v nginx) || {
        services_debian nginx nginx libpcre2-8-0 || return
        nginx_program=$services_found/nginx
        services_wrapper "$nginx_program" /usr/sbin/nginx || return
    }
}

# None is started: where it passes requests to stands in its configuration, so tests start their own.
start_nginx() {
    export KRATOS_TEST_NGINX=$nginx_program
    "$nginx_program" -v >"$1/log" 2>&1
}
