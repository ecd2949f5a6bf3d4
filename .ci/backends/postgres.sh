# PostgreSQL of the machine, or of its Debian, where the names of the packages carry the version.
# What is unpacked finds its files by where its programs are.
obtain_postgres() {
    local found package
    for found in "$(command -v postgres)" /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$found" ] || continue
        found=$(readlink -f "$found") && postgres_programs=${found%/*} && return
    done
    command -v apt-cache >/dev/null || { echo "there is no apt-get to download it with"; return 1; }
    package=$(postgres_package)
    [ -n "$package" ] || { apt-get -qq update && package=$(postgres_package); }
    [ -n "$package" ] || { echo "this Debian has no PostgreSQL"; return 1; }
    services_debian postgres "$package" libpq5 libllvm14 libxslt1.1 || return
    postgres_programs=$services_found/root/usr/lib/postgresql/${package#postgresql-}/bin
    postgres_libraries=$services_found/root/usr/lib/$(uname -m)-linux-gnu
}

# postgres_package: print the package of the server, as in "postgresql-15".
postgres_package() {
    apt-cache depends postgresql 2>/dev/null | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p'
}

start_postgres() {
    local port as=(env)
    port=$(services_port) || return
    # It refuses to run as root.
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid nobody --regid nogroup --clear-groups env)
        chmod 755 "$services_home" && chown nobody "$1" || return
    fi
    as+=("HOME=$1" "LD_LIBRARY_PATH=${postgres_libraries:-}")
    "${as[@]}" "$postgres_programs/initdb" -D "$1/data" -U postgres -A trust -E UTF8 \
        --no-locale --no-sync >"$1/log" 2>&1 || return
    "${as[@]}" "$postgres_programs/postgres" -D "$1/data" -p "$port" -h 127.0.0.1 -k "$1" \
        -c fsync=off >>"$1/log" 2>&1 &
    services_await $! grep -q 'ready to accept connections' "$1/log" || return
    export KRATOS_TEST_POSTGRES=postgresql://postgres@127.0.0.1:$port/postgres
}
