# Takes events as Sentry does, with a data base in a file. It is a tool for tests, under a licence of
# its own, and stays in its own virtual environment.
obtain_bugsink() {
    services_wheel bugsink bugsink==2.6.2 || return
    bugsink_programs=$services_found/bin
}

# KRATOS_TEST_BUGSINK is the DSN of a project, KRATOS_TEST_BUGSINK_EVENTS the file with the table
# `events_event`, where an event stands as soon as it was taken.
start_bugsink() {
    local port
    port=$(services_port) || return
    (
        cd "$1" || exit
        PATH=$bugsink_programs:$PATH
        bugsink-create-conf --template=local --host=127.0.0.1 --port="$port" &&
            echo 'BUGSINK["PHONEHOME"] = False' >>bugsink_conf.py &&
            bugsink-manage migrate --verbosity 0 &&
            bugsink-manage shell --verbosity 0 --command '
from projects.models import Project
print("DSN", Project.objects.create(name="tests").dsn)'
    ) >"$1/setup" 2>&1 || { cat "$1/setup"; return 1; }
    (cd "$1" && PATH=$bugsink_programs:$PATH exec gunicorn --bind "127.0.0.1:$port" --workers 1 \
        --threads 2 bugsink.wsgi) >"$1/log" 2>&1 &
    services_await $! bugsink_answers "$port" || return
    KRATOS_TEST_BUGSINK=$(sed -n 's/^DSN //p' "$1/setup")
    export KRATOS_TEST_BUGSINK KRATOS_TEST_BUGSINK_EVENTS=$1/db.sqlite3
}

# bugsink_answers <port>: whether it says anything over HTTP; its first page leads to another one.
bugsink_answers() {
    services_says "$1" $'GET / HTTP/1.0\r\n\r\n' HTTP/
}
