"""All parts together: flags, files, proxy, middleware, metrics, and real back ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos import App, plugins
from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.registry import ServiceInstance, from_url
from kratos.testing import running
from kratos.transport.http import Head, Reply, Wire
from kratos_gateway.api.gateway_pb2 import HTTP, Backend, Endpoint
from kratos_gateway.api.gateway_pb2 import Gateway as PbGateway
from kratos_gateway.assembly import application
from kratos_gateway.command import main
from kratos_gateway.config import problems
from kratos_gateway.server import Gateway
from kratos_gateway.settings import Settings
from kratos_http import HttpServer
from kratos_http.debug import DebugServer
from kratos_http.testing import SocketPeer, eventually
from kratos_http.testing import running as serving

pytest.importorskip("kratos_gateway.proxy", reason="the proxy is not there")

PROGRAM = "from kratos_gateway.command import main; main()"


class Named:
    """A back end that answers with its name and the path that it was asked for."""

    max_body = 1000

    def __init__(self, name: str) -> None:
        self.name = name

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200, (), f"{self.name} {head.path.decode()} ".encode() + body)


class Moved:
    """A back end that leads elsewhere."""

    max_body = 1000

    def __init__(self, place: str) -> None:
        self.place = place

    async def answer(self, _head: Head, _body: bytes, /) -> Reply:
        return Reply(302, ((b"location", self.place.encode()),))


@pytest.fixture
async def backends() -> AsyncIterator[list[str]]:
    """Return the addresses of two back ends."""
    first, second = HttpServer("127.0.0.1:0"), HttpServer("127.0.0.1:0")
    first.handle("*", "/{path=**}", Named("first"))
    second.handle("*", "/{path=**}", Named("second"))
    async with serving(first), serving(second):
        urls = [*await first.bind(), *await second.bind()]
        yield [url.removeprefix("http://") for url in urls]


def written(path: Path, *targets: str, protocol: str = "HTTP") -> Path:
    """Write a configuration that leads to back ends, at once."""
    listed = ", ".join(f"{{target: '{target}'}}" for target in targets)
    fields = f"path: /api/*, timeout: 30s, protocol: {protocol}, backends: [{listed}]"
    text = f"endpoints: [{{{fields}}}]\n"
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return path


async def connect(gateway: Gateway) -> SocketPeer:
    (url,) = await gateway.bind()
    return await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))


def settings(path: Path, *arguments: str) -> Settings:
    return Settings.of(["--addr=127.0.0.1:0", f"--conf={path}", *arguments], environ={})


async def test_requests_reach_the_back_end_and_are_counted(
    tmp_path: Path, backends: list[str]
) -> None:
    path = written(tmp_path / "gateway.yaml", backends[0])
    app = application(settings(path), environ={})
    (gateway,) = app.options.servers
    assert isinstance(gateway, Gateway)
    async with running(app):
        peer = await connect(gateway)
        answer = await peer.request("POST", "/api/x", body=b"hello")
        unknown = await peer.request("GET", "/other")
        metrics = (await peer.request("GET", "/metrics")).body.decode()
        await peer.aclose()
    assert (answer.status, answer.body) == (200, b"first /api/x hello")
    assert (unknown.status, unknown.body) == (404, b"404 page not found\n")
    counted = (
        'go_gateway_requests_code_total{protocol="HTTP",method="POST",path="/api/*",code="200",'
        'service="",basePath=""} 1.0\n'
    )
    assert counted in metrics
    assert 'path="/404",code="404"' in metrics


@pytest.mark.parametrize(("named", "status"), [(True, 200), (False, 302)])
async def test_redirects_are_followed_to_hosts_that_are_named(
    tmp_path: Path, backends: list[str], *, named: bool, status: int
) -> None:
    moved = HttpServer("127.0.0.1:0")
    moved.handle("*", "/{path=**}", Moved(f"http://{backends[1]}/end"))
    async with serving(moved):
        (url,) = await moved.bind()
        path = written(tmp_path / "gateway.yaml", url.removeprefix("http://"))
        hosts = [f"--redirect.hosts={backends[1]}"] if named else []
        given = Settings.of(
            ["--addr=127.0.0.1:0", f"--conf={path}", *hosts], environ={"PROXY_FOLLOW_REDIRECT": "1"}
        )
        app = application(replace(given, dial_timeout=5.0), environ={})
        (gateway,) = app.options.servers
        assert isinstance(gateway, Gateway)
        async with running(app):
            peer = await connect(gateway)
            answer = await peer.request("GET", "/api/x")
            await peer.aclose()
    assert (answer.status, answer.body) == (status, b"second /end " if named else b"")


async def test_what_is_installed_counts_if_it_shall(tmp_path: Path, backends: list[str]) -> None:
    undo = plugins.register("kratos.metrics", "memory", MemoryMeter)
    try:
        path = written(tmp_path / "gateway.yaml", backends[0])
        app = application(settings(path, "-metrics.installed"), environ={})
    finally:
        undo()
    gateway = app.options.servers[0]
    assert isinstance(gateway, Gateway)
    async with running(app):
        peer = await connect(gateway)
        metrics = await peer.request("GET", "/metrics")
        await peer.aclose()
    assert b"kratos_gateway_reloads_total" in metrics.body


def test_a_meter_that_is_not_installed_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:80")
    with pytest.raises(ConfigError, match="no meter is installed"):
        application(settings(path, "-metrics.installed"), environ={})


async def test_no_request_fails_while_files_change(tmp_path: Path, backends: list[str]) -> None:
    path = written(tmp_path / "gateway.yaml", backends[0])
    # A machine that is busy with other things may take long to connect.
    app = application(replace(settings(path), dial_timeout=10.0), environ={})
    (gateway,) = app.options.servers
    assert isinstance(gateway, Gateway)
    answers: list[tuple[int, bytes]] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        peer = await connect(gateway)
        while not done.is_set():
            answer = await peer.request("GET", "/api/x")
            answers.append((answer.status, answer.body))
        await peer.aclose()

    async with running(app):
        asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
        for number in range(20):
            await gateway.apply(await gateway.configuration.load())
            written(path, backends[number % 2])
            seen = len(answers)
            while len(answers) < seen + 8:  # noqa: ASYNC110  connections set no event
                await asyncio.sleep(0)
        done.set()
        await asyncio.gather(*asking)
    assert {status for status, _ in answers} == {200}
    assert {body for _, body in answers} == {b"first /api/x ", b"second /api/x "}


async def test_a_service_is_found_by_its_name(tmp_path: Path, backends: list[str]) -> None:
    registry = from_url(f"file://{tmp_path / 'registry'}")
    registration = await registry.register(
        ServiceInstance(id="1", name="shop", endpoints=(f"http://{backends[1]}",))
    )
    path = written(tmp_path / "gateway.yaml", "discovery:///shop")
    dsn = f"--discovery.dsn=file://{tmp_path / 'registry'}"
    app = application(settings(path, dsn), environ={})
    gateway = app.options.servers[0]
    assert isinstance(gateway, Gateway)
    async with running(app):
        peer = await connect(gateway)
        answer = await peer.request("GET", "/api/x")
        await peer.aclose()
    await registration.withdraw()
    await registry.aclose()
    assert answer.body == b"second /api/x "


def test_a_dry_run_says_that_it_can_be_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:80")
    main(["--dry-run", f"--conf={path}"])
    assert capsys.readouterr().out == f"{path} can be served\n"


def test_a_dry_run_refuses_what_cannot_be_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("middlewares: [{name: nothing, required: true}]\nendpoints: [{path: /}]")
    with pytest.raises(SystemExit) as ended:
        main(["--dry-run", f"--conf={path}"])
    assert ended.value.code == 2
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("-tls.cert nope.pem -tls.key nope.key", "the certificate nope.pem cannot be read"),
        ("-tls.cert {path} -tls.key {path}", "holds no certificate in PEM"),
        ("-workers -3", "workers must be a number from 0"),
        ("-debug -debug.addr nonsense", "address nonsense: missing port"),
        ("-addr nonsense", "address nonsense: missing port"),
        ("-stop-timeout 0s", "stop_timeout must be a positive number"),
    ],
)
def test_a_dry_run_refuses_what_the_start_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, told: str
) -> None:
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:80")
    with pytest.raises(SystemExit) as ended:
        main(["--dry-run", f"--conf={path}", *flags.format(path=path).split()])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_dry_run_takes_no_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:80")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        main(["--dry-run", f"-conf={path}", "-debug", f"-addr={place}", f"-debug.addr={place}"])
    assert "can be served" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
def test_a_dry_run_of_workers_starts_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kratos.process._probes", [])  # other tests may have used gRPC here
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:80")
    main(["--dry-run", f"--conf={path}", "-workers=2", "-debug"])
    assert "can be served" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
async def test_the_command_serves_until_it_is_told_to_stop(
    tmp_path: Path, backends: list[str], workers: int
) -> None:
    path = written(tmp_path / "gateway.yaml", backends[0])
    flags = ["-addr", "127.0.0.1:0", "-conf", str(path), "-workers", str(workers)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, *flags),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    told = b""
    async with asyncio.timeout(60):
        while (found := re.search(rb"http://127\.0\.0\.1:(\d+)", told)) is None:
            line = await process.stderr.readline()
            assert line, told
            told += line
        peer = await SocketPeer.connect("127.0.0.1", int(found[1]))
        answer = await peer.request("GET", "/api/x")
        await peer.aclose()
        process.send_signal(signal.SIGTERM)
        rest = await process.stderr.read()
        code = await process.wait()
    assert answer.body == b"first /api/x "
    assert code == 0, told + rest


PATTERNS = st.text("/a*{}:[]()?+.\0", max_size=12).map(lambda text: f"/{text}")
TARGETS = st.text("ab:/.,[]018", max_size=10) | st.text("ab:/.,", max_size=6).map(
    lambda text: f"direct://{text}"
)


@given(path=PATTERNS | st.text("/a*{}", max_size=6), host=PATTERNS.map(lambda text: text[1:]))
def test_what_the_router_refuses_is_told_before_and_nothing_else(path: str, host: str) -> None:
    routing = import_module("kratos_gateway.routing")
    endpoint = Endpoint(path=path, host=host, backends=[Backend(target="a:80")])
    table = routing.Table()
    try:
        table.add(endpoint.path, None, method="", host=endpoint.host)
    except ConfigError:
        refused = True
    else:
        refused = False
    assert any(each.fatal for each in problems(PbGateway(endpoints=[endpoint]))) is refused


@given(target=TARGETS, tls=st.booleans())
def test_targets_that_cannot_be_asked_are_told_before_and_no_others(target: str, tls: bool) -> None:
    targets = import_module("kratos_gateway.backend.targets")
    backend = Backend(target=target, tls=tls)
    try:
        found = targets.target_of(backend, scheme="http")
    except ConfigError:
        refused = True
    else:
        refused = not (found.nodes or found.service)
    config = PbGateway(endpoints=[Endpoint(path="/", protocol=HTTP, backends=[backend])])
    assert any(each.fatal for each in problems(config)) is refused


class Forwarded:
    """A back end that answers whom a request is said to be for."""

    max_body = 0

    async def answer(self, head: Head, _body: bytes, /) -> Reply:
        return Reply(200, (), head.header(b"x-forwarded-for"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], b"127.0.0.1"),
        (["-forward.trusted=127.0.0.0/8"], b"192.0.2.1, 127.0.0.1"),
        (["-forward.trusted=all"], b"192.0.2.1, 127.0.0.1"),
    ],
)
async def test_back_ends_are_told_whom_a_request_is_for(
    tmp_path: Path, flags: list[str], told: bytes
) -> None:
    server = HttpServer("127.0.0.1:0")
    server.handle("GET", "/{path=**}", Forwarded())
    async with serving(server):
        (url,) = await server.bind()
        path = written(tmp_path / "gateway.yaml", url.removeprefix("http://"))
        app = application(settings(path, *flags), environ={})
        gateway = app.options.servers[0]
        assert isinstance(gateway, Gateway)
        async with running(app):
            peer = await connect(gateway)
            headers = [("X-Forwarded-For", "192.0.2.1")]
            answer = await peer.request("GET", "/api/x", headers=headers)
            await peer.aclose()
    assert answer.body == told


async def test_instances_are_shown_where_the_proxy_tells_them(tmp_path: Path) -> None:
    registry = from_url(f"file://{tmp_path / 'registry'}")
    endpoints = ("http://127.0.0.1:9",)
    registration = await registry.register(
        ServiceInstance(id="1", name="shop", endpoints=endpoints)
    )
    path = written(tmp_path / "gateway.yaml", "discovery:///shop")
    dsn = f"--discovery.dsn=file://{tmp_path / 'registry'}"
    app = application(settings(path, dsn, "-debug", "-debug.addr=127.0.0.1:0"), environ={})
    debug = app.options.servers[1]
    assert isinstance(debug, DebugServer)
    async with running(app):
        peer = await SocketPeer.connect("127.0.0.1", int(debug.url.rpartition(":")[2]))
        head = "GET /debug/watcher/nodes?service=shop HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await peer.send(head.encode())
        (shown,) = (await peer.answer()).json()
        await peer.aclose()
    await registration.withdraw()
    await registry.aclose()
    assert (shown["name"], shown["endpoints"]) == ("shop", list(endpoints))


async def test_the_listener_of_all_workers_says_where_their_consoles_are(tmp_path: Path) -> None:
    path = written(tmp_path / "gateway.yaml", "127.0.0.1:1")
    shared = tmp_path / "debug.sock"
    given = settings(path, "-workers=2", "-debug", f"-debug.addr=unix:{shared}")
    (debug,) = application(given, environ={}).options.host_servers
    async with running(App(name="all", servers=[debug])):
        reader, writer = await asyncio.open_unix_connection(shared)
        writer.write(b"GET /debug/console.json HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    places = [f"unix:{shared}.{slot} /debug/console" for slot in (0, 1)]
    assert json.loads(body) == {"workers": places}


class Streaming:
    """A back end that sends a piece whenever it is told to."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def converse(self, _head: Head, wire: Wire, /) -> None:
        wire.start(200, [(b"content-type", b"text/event-stream")])
        while piece := await self.pieces.get():
            await wire.write(piece)
        await wire.finish()


async def test_a_stream_goes_on_while_the_configuration_changes(
    tmp_path: Path, backends: list[str]
) -> None:
    streaming = Streaming()
    server = HttpServer("127.0.0.1:0")
    server.handle("GET", "/{path=**}", streaming)
    async with serving(server):
        (url,) = await server.bind()
        path = tmp_path / "gateway.yaml"
        text = written(path, url.removeprefix("http://")).read_text(encoding="utf-8")
        path.write_text(text.replace("timeout: 30s", "timeout: 60s"), encoding="utf-8")
        app = application(settings(path), environ={})
        gateway = app.options.servers[0]
        assert isinstance(gateway, Gateway)
        async with running(app):
            peer = await connect(gateway)
            await peer.send(b"GET /api/events HTTP/1.1\r\nHost: a\r\n\r\n")
            await streaming.pieces.put(b"data: one\n\n")
            await peer.until(b"data: one\n\n\r\n")
            before = gateway.serving
            written(path, backends[1])
            await eventually(lambda: gateway.serving is not before)
            other = await connect(gateway)
            assert (await other.request("GET", "/api/x")).body == b"second /api/x "
            for piece in (b"data: two\n\n", b""):
                await streaming.pieces.put(piece)
            rest = await peer.until(b"0\r\n\r\n")
            await peer.aclose()
            await other.aclose()
    assert b"data: two\n\n" in rest
