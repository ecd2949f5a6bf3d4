# A Nacos without its console, of what Maven Central has of it; see nacos/pom.xml.
nacos_built='2.2.4 3'  # raise the second number when what is in nacos/ changes

# nacos_needs <program>: whether it is there. A machine of CI, which is nobody's, gets it installed: no
# index of packages has a JDK to be unpacked.
nacos_needs() {
    command -v "$1" >/dev/null && return
    if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get -qq update && apt-get -qq install --no-install-recommends --yes \
            maven openjdk-17-jdk-headless; } >&2
        command -v "$1" >/dev/null && return
    fi
    echo "Nacos is built by Maven and javac, and there is no $1: \
apt-get install maven openjdk-17-jdk-headless" >&2
    return 1
}

obtain_nacos() {
    local has java
    services_has nacos "$nacos_built"
    has=$?
    nacos_program=$services_found/nacos-server
    [ "$has" != 0 ] || return 0
    nacos_needs mvn && nacos_needs javac || return
    java=$(services_java) || return
    mkdir -p "$services_found/classes" || return
    mvn --quiet --batch-mode --file "$services_here/backends/nacos/pom.xml" \
        dependency:copy-dependencies -DincludeScope=runtime \
        "-DoutputDirectory=$services_found/lib" &&
        javac --release 11 -cp "$services_found/lib/*" -d "$services_found/classes" \
            "$services_here/backends/nacos/NacosServer.java" || return
    nacos_wrapper "$java" && nacos_database || return
    echo "$nacos_built" >"$services_found/complete"
}

# nacos_wrapper <java>: write a program that takes a folder for all that Nacos writes, and options of
# Java beside those that every Nacos of the tests needs. Its Hessian has to be found before an older
# one that Nacos' own libraries bring.
nacos_wrapper() {
    cat >"$nacos_program" <<END
#!/bin/sh
mkdir -p "\$1" && cd "\$1" && shift || exit
[ -d data ] || [ ! -d "$services_found/data" ] || cp -r "$services_found/data" data || exit
exec "$1" -Xmx512m -XX:TieredStopAtLevel=1 \
    --add-opens java.base/java.io=ALL-UNNAMED --add-opens java.base/java.lang=ALL-UNNAMED \
    --add-opens java.base/java.util=ALL-UNNAMED --add-opens java.base/sun.net.util=ALL-UNNAMED \
    -Dnacos.standalone=true -Dserver.address=127.0.0.1 -Dnacos.inetutils.ip-address=127.0.0.1 \
    -Dserver.servlet.context-path=/nacos -Dnacos.core.auth.enabled=false "-Dnacos.home=\$PWD" "\$@" \
    -cp "$services_found/classes:$(echo "$services_found"/lib/hessian-4.*.jar):$services_found/lib/*" \
    kratos.ci.NacosServer
END
    chmod +x "$nacos_program"
}

# nacos_database: keep what it makes at its first start, as that takes longer on a busy machine than
# it is willing to wait.
nacos_database() {
    local home=$services_found/home port process end
    for _ in 1 2 3; do
        rm -rf "$home"
        port=$(nacos_port) || return
        "$nacos_program" "$home" "-Dserver.port=$port" &
        process=$! end=$((SECONDS + 120))
        until services_serves "$port" /nacos/v1/ns/operator/metrics; do
            kill -0 "$process" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || break
            sleep 0.2
        done
        services_serves "$port" /nacos/v1/ns/operator/metrics || end=0
        kill "$process" 2>/dev/null
        wait "$process"
        [ "$end" -eq 0 ] || break
    done
    [ "$end" -ne 0 ] && mkdir "$services_found/data" &&
        mv "$home/data/derby-data" "$services_found/data" && rm -r "$home"
}

# Beside its port Nacos listens on those 1000 and 1001 above it, and 1000 below.
nacos_port() {
    "${KRATOS_PYTHON:-python3}" - <<'END'
import random
import socket
from contextlib import ExitStack

while True:
    port = random.randrange(12000, 30000)
    with ExitStack() as held:
        try:
            for each in (port, port + 1000, port + 1001, port - 1000):
                held.enter_context(socket.socket()).bind(("127.0.0.1", each))
        except OSError:
            continue
    print(port)
    break
END
}

# It is told to start up to three times, as it gives its database ten seconds to open.
start_nacos() {
    local port
    for _ in 1 2 3; do
        port=$(nacos_port) || return
        "$nacos_program" "$1/home" "-Dserver.port=$port" >"$1/log" 2>&1 &
        if services_await $! services_serves "$port" /nacos/v1/ns/operator/metrics; then
            export KRATOS_TEST_NACOS=127.0.0.1:$port KRATOS_TEST_NACOS_SERVER=$nacos_program
            return 0
        fi
    done
    return 1
}
