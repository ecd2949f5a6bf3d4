obtain_zookeeper() {
    local java
    services_debian zookeeper libzookeeper-java libdropwizard-metrics-java libslf4j-java \
        libsnappy-java libnetty-java libjctools-java || return
    zookeeper_program=$services_found/zookeeper-server
    java=$(services_java) || return
    # The main class of an ensemble, which takes a configuration of one server, too.
    services_java_wrapper "$zookeeper_program" "$java" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain \
        zookeeper zookeeper-jute metrics-core slf4j-api slf4j-nop snappy-java jctools-core \
        netty-{buffer,codec,common,handler,resolver,transport} \
        netty-transport-native-{epoll,unix-common} || return
}

start_zookeeper() {
    local port
    port=$(services_port) || return
    # Short ticks allow sessions of one second. `ruok` says yes before clients are served.
    printf '%s\n' tickTime=500 "dataDir=$1" "clientPort=$port" clientPortAddress=127.0.0.1 \
        admin.enableServer=false '4lw.commands.whitelist=*' maxClientCnxns=0 >"$1/zoo.cfg"
    "$zookeeper_program" "$1/zoo.cfg" >"$1/log" 2>&1 &
    services_await $! services_says "$port" srvr Mode: || return
    export KRATOS_TEST_ZOOKEEPER=zookeeper://127.0.0.1:$port
    export KRATOS_TEST_ZOOKEEPER_SERVER=$zookeeper_program
}
