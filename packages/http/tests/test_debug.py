"""The listener for operators: what it tells, and to whom."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kratos import App
from kratos.address import Address
from kratos.config import Config, KeyValue, MemorySource, Snapshot
from kratos.errors import ConfigError, Error, StartupError
from kratos.health import Kind
from kratos.limit import cancel_and_wait
from kratos.metrics import MemoryMeter, NopMeter
from kratos.process import become_worker
from kratos.testing.app import running
from kratos.testing.echo import EchoService
from kratos.transport.http import Head, Reply
from kratos.watch import Versioned, Watcher
from kratos_http import HealthPaths, HttpServer, Request, text_reply
from kratos_http.debug import DebugServer, Page, json_page, text_page
from kratos_http.debug._pages import endpoint_of
from kratos_http.debug._profile import Profiler
from kratos_http.debug._server import own_address
from kratos_http.testing import Answer, SocketPeer, eventually

PAGES = ("app", "health", "routes", "config", "tasks", "stacks", "gc")


class Running:
    """An application with a listener, and a connection to that."""

    def __init__(self, app: App, peer: SocketPeer) -> None:
        self.app = app
        self.peer = peer

    async def get(self, path: str, **headers: str) -> Answer:
        head = [f"{name}: {value}" for name, value in {"Host": "localhost", **headers}.items()]
        lines = "\r\n".join([f"GET {path} HTTP/1.1", *head, "", ""])
        await self.peer.send(lines.encode())
        return await self.peer.answer()


@asynccontextmanager
async def debugged(debug: DebugServer, **options: Any) -> AsyncGenerator[Running]:
    app = App(name="orders", servers=[debug, HttpServer("127.0.0.1:0")], **options)
    async with running(app):
        peer = await connect(debug)
        try:
            yield Running(app, peer)
        finally:
            await peer.aclose()


async def connect(debug: DebugServer) -> SocketPeer:
    host, port = debug.url.removeprefix("http://").rsplit(":", 1)
    return await SocketPeer.connect(host, int(port))


class TestProbes:
    async def test_all_three_questions_are_answered(self) -> None:
        async with debugged(DebugServer()) as process:
            answers = [await process.get(path) for path in ("/livez", "/readyz", "/startupz")]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert answers[1].json()["phase"] == "serving"

    async def test_paths_are_of_choice(self) -> None:
        paths = HealthPaths(live="/healthz", ready="", startup="")
        async with debugged(DebugServer(health_paths=paths)) as process:
            assert (await process.get("/healthz")).status == 200
            assert (await process.get("/readyz")).status == 404

    async def test_they_are_answered_before_the_application_has_started(self) -> None:
        entered, opened = asyncio.Event(), asyncio.Event()

        @asynccontextmanager
        async def slow() -> AsyncGenerator[None]:
            entered.set()
            await opened.wait()
            yield

        debug = DebugServer()
        app = App(servers=[debug], resources=[slow()])
        serving = asyncio.create_task(app.run())
        await entered.wait()
        peer = await connect(debug)
        answers = [await peer.request("GET", path) for path in ("/livez", "/startupz")]
        opened.set()
        await app.ready()
        started = await peer.request("GET", "/startupz")
        await peer.aclose()
        app.stop()
        await serving
        assert [answer.status for answer in answers] == [200, 503]
        assert started.status == 200

    async def test_they_are_answered_while_the_application_stops(self) -> None:
        opened = asyncio.Event()

        @asynccontextmanager
        async def slow() -> AsyncGenerator[None]:
            yield
            await opened.wait()

        debug = DebugServer()
        app = App(servers=[debug], resources=[slow()])
        serving = asyncio.create_task(app.run())
        await app.ready()
        app.stop()
        await eventually(lambda: app.health.phase.value == "stopping")
        peer = await connect(debug)
        live = await peer.request("GET", "/livez")
        again = await connect(debug)
        ready = await again.request("GET", "/readyz")
        opened.set()
        await serving
        await peer.aclose()
        await again.aclose()
        assert (live.status, ready.status) == (200, 503)

    async def test_why_a_check_fails_is_told_to_people_and_not_to_probes(self) -> None:
        async with debugged(DebugServer()) as process:

            def check() -> None:
                raise RuntimeError("db-7 is away")

            process.app.health.add_check("db", check, kind=Kind.READY)
            probe = await process.get("/readyz")
            page = await process.get("/debug/health")
        assert probe.status == 503
        assert b"db-7" not in probe.body
        found = [each for each in page.json()["ready"]["checks"] if each["name"] == "db"]
        assert found[0]["message"] == "RuntimeError: db-7 is away"


class Figures:
    content_type = "application/openmetrics-text"

    def render(self) -> bytes:
        return b"a 1\n"


class Formats(Figures):
    async def render_as(self, accept: str) -> tuple[str, str]:
        return f"as {accept}", accept or "text/any"


async def slow_figures() -> str:
    return "a 1\n"


class TestMetrics:
    @pytest.mark.parametrize("metrics", [Figures(), lambda: "a 1\n", slow_figures])
    async def test_they_are_rendered_on_request(self, metrics: Any) -> None:
        async with debugged(DebugServer(metrics=metrics)) as process:
            answer = await process.get("/metrics")
        assert (answer.status, answer.body) == (200, b"a 1\n")

    async def test_their_type_is_what_they_say(self) -> None:
        async with debugged(DebugServer(metrics=Figures(), metrics_path="/m")) as process:
            answer = await process.get("/m")
        assert answer.header("content-type") == "application/openmetrics-text"

    async def test_scraper_is_told_them_in_the_format_that_it_asks_for(self) -> None:
        async with debugged(DebugServer(metrics=Formats())) as process:
            asked = await process.get("/metrics", accept="text/odd")
            other = await process.get("/metrics")
        assert (asked.body, asked.header("content-type")) == (b"as text/odd", "text/odd")
        assert (other.body, other.header("content-type")) == (b"as ", "text/any")

    async def test_else_it_is_that_of_prometheus(self) -> None:
        async with debugged(DebugServer(metrics=lambda: "")) as process:
            answer = await process.get("/metrics")
        assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"

    async def test_without_any_those_of_the_application_are_rendered(self) -> None:
        meter = MemoryMeter()
        meter.counter("orders_total").inc()
        async with debugged(DebugServer(metrics_path="/m"), metrics=meter) as process:
            answer = await process.get("/m")
        assert b"orders_total 1.0" in answer.body

    async def test_application_whose_meter_renders_nothing_has_no_such_path(self) -> None:
        async with debugged(DebugServer()) as process:
            assert (await process.get("/metrics")).status == 404

    async def test_failing_ones_fail_their_request_only(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> str:
            raise RuntimeError("no figures")

        async with debugged(DebugServer(metrics=broken)) as process:
            assert (await process.get("/metrics")).status == 500
            assert (await process.get("/livez")).status == 200
        assert "no figures" in caplog.text


class OneSource:
    """A source of documents."""

    def __init__(self, *entries: KeyValue) -> None:
        self.entries = entries
        self.closed = False

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        return self

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        return Versioned(value=self.entries)

    async def changed(self, since: object, /) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True


async def load() -> Snapshot:
    return Snapshot({"db": {"password": "hunter2", "host": "db"}})


class TestConfig:
    @pytest.mark.parametrize("config", [load, lambda: {"db": {"password": "x", "host": "db"}}])
    async def test_it_is_shown_without_secrets(self, config: Any) -> None:
        async with debugged(DebugServer(config=config)) as process:
            page = await process.get("/debug/config")
        assert page.json() == {"db": {"password": "***", "host": "db"}}

    async def test_that_of_the_application_is_told_when_it_is_loaded(self) -> None:
        config = Config(MemorySource.of({"db": {"password": "hunter2", "host": "db"}}))
        async with debugged(DebugServer(config=config)) as process:
            before = await process.get("/debug/config")
            async with config:
                page = await process.get("/debug/config")
        assert (before.status, before.json()["reason"]) == (503, "NOT_LOADED")
        assert page.json() == {"db": {"password": "***", "host": "db"}}

    async def test_source_is_read(self) -> None:
        source = OneSource(
            KeyValue(key="a.yaml", value=b"db:\n  password: x\n  port: 5432\n", format="yaml"),
            KeyValue(key="b.json", value=b'{"token": "x"}', format="json"),
            KeyValue(key="broken.json", value=b'{"token": "x', format="json"),
            KeyValue(key="c.toml", value=b'token = "x"', format="toml"),
            KeyValue(key="API_KEY", value=b"x"),
            KeyValue(key="HOST", value=b"db"),
        )
        async with debugged(DebugServer(config=source)) as process:
            page = await process.get("/debug/config")
        assert page.json() == {
            "a.yaml": {"db": {"password": "***", "port": 5432}},
            "b.json": {"token": "***"},
            "broken.json": "<12 bytes of json>",
            "c.toml": "<11 bytes of toml>",
            "API_KEY": "***",
            "HOST": "db",
        }
        assert source.closed


class TestPages:
    async def test_index_names_them_all(self) -> None:
        async with debugged(DebugServer()) as process:
            index = await process.get("/debug")
            answers = [await process.get(f"/debug/{name}") for name in PAGES]
        assert index.header("content-type").startswith("text/html")
        assert all(f'href="/debug/{name}"'.encode() in index.body for name in PAGES)
        assert [answer.status for answer in answers] == [200] * len(PAGES)
        assert {answer.header("cache-control") for answer in answers} == {"no-store"}

    async def test_further_pages_are_behind_the_same_doors(self) -> None:
        async def make(head: Head) -> Reply:
            return json_page({"asked": head.method})

        pages = [
            Page(path="/debug/own/look", title="what is mine", make=make),
            Page(path="/debug/own/do", title="do it", make=make, verb="POST"),
        ]
        async with debugged(DebugServer(pages=pages)) as process:
            looked = await process.get("/debug/own/look")
            wrong = await process.get("/debug/own/do")
            index = await process.get("/debug")
            stranger = await process.get("/debug/own/look", Host="attacker.example")
        assert (looked.status, looked.json()) == (200, {"asked": "GET"})
        assert wrong.status == 405
        assert b"what is mine" in index.body
        assert stranger.status == 403

    @pytest.mark.parametrize("path", ["/mine", "/debug", "/debug/tasks"])
    def test_a_page_elsewhere_or_where_another_is_is_refused(self, path: str) -> None:
        async def make(_head: Head) -> Reply:
            return text_page("")

        with pytest.raises(ConfigError, match=f"GET {path}$"):
            DebugServer(pages=[Page(path=path, title="mine", make=make)])

    async def test_application_is_told(self) -> None:
        async with debugged(DebugServer(), version="1.2", registrar="memory://") as process:
            found = (await process.get("/debug/app")).json()
        assert (found["name"], found["version"]) == ("orders", "1.2")
        assert found["registration"]["state"] == "held"
        assert found["distributions"]["kratos-core"] == "0.1.0"

    async def test_routes_and_operations_are_told(self) -> None:
        api = HttpServer("127.0.0.1:0")

        @api.route("GET", "/users/{id}/avatar")
        async def avatar(_request: Request) -> Reply:  # pyright: ignore[reportUnusedFunction]
            return text_reply("")

        debug = DebugServer()
        async with running(App(servers=[debug, api], services=[EchoService()])):
            peer = await connect(debug)
            found = (await peer.request("GET", "/debug/routes", headers=())).status
            await peer.send(b"GET /debug/routes HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page = (await peer.answer()).json()
            await peer.aclose()
        assert found == 403
        assert {"operation": "/kratos.testing.Echo/Echo", "arity": "unary"}.items() <= page[
            "operations"
        ][0].items()
        (served,) = page["servers"]
        paths = [(route["verb"], route["path"]) for route in served["routes"]]
        assert ("GET", "/users/{id}/avatar") in paths

    async def test_tasks_that_wait_at_one_place_are_told_together(self) -> None:
        never = asyncio.Event()

        async def inner() -> None:
            await never.wait()

        async def outer() -> None:
            await inner()

        async with debugged(DebugServer()) as process:
            waiting = [asyncio.create_task(outer(), name=f"waiting-{i}") for i in range(12)]
            text = (await process.get("/debug/tasks")).body.decode()
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        (place,) = [part for part in text.split("\n\n") if "waiting-0" in part]
        assert "12 x " in place
        assert " and 2 more" in place
        assert place.index("outer  ") < place.index("inner  ") < place.index("Event.wait  ")

    async def test_stacks_of_threads_are_told(self) -> None:
        async with debugged(DebugServer()) as process:
            text = (await process.get("/debug/stacks")).body.decode()
        assert "MainThread (" in text
        assert "in stacks" in text

    async def test_objects_are_counted_when_asked_for(self) -> None:
        async with debugged(DebugServer()) as process:
            quick = (await process.get("/debug/gc")).json()
            counted = (await process.get("/debug/gc?top=3")).json()
            wrong = await process.get("/debug/gc?top=many")
        assert "types" not in quick
        assert len(counted["types"]) == 3
        assert (wrong.status, wrong.json()["reason"]) == (400, "BAD_REQUEST")

    async def test_profile_is_made_of_stacks_and_counts(self) -> None:
        async with debugged(DebugServer()) as process:
            page = await process.get("/debug/profile?seconds=0.05&rate=1000")
        lines = page.body.decode().splitlines()
        assert sum(int(line.rpartition(" ")[2]) for line in lines) == 50
        assert all("test_profile" not in line or ";" in line for line in lines)

    async def test_one_profile_is_made_at_a_time(self) -> None:
        profiler = Profiler()
        first = asyncio.create_task(profiler.run(seconds=50.0, rate=100.0))
        await asyncio.sleep(0)
        with pytest.raises(Error) as failure:
            await profiler.run(seconds=0.01, rate=100.0)
        await cancel_and_wait(first)
        assert failure.value.code == 409
        assert await profiler.run(seconds=0.01, rate=100.0)

    @pytest.mark.parametrize("query", ["seconds=61", "rate=0", "rate=9999", "seconds=-1", "rate=x"])
    async def test_profile_is_not_made_at_any_price(self, query: str) -> None:
        async with debugged(DebugServer()) as process:
            assert (await process.get(f"/debug/profile?{query}")).status == 400


def test_meter_that_renders_nothing_is_refused() -> None:
    wrong: Any = NopMeter()
    with pytest.raises(ConfigError, match=r"object with render\(\), and .*NopMeter.* is neither"):
        DebugServer(metrics=wrong)


class TestWhoMayLook:
    @pytest.mark.parametrize(
        "address", [":0", "0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:0"]
    )
    def test_public_address_has_to_be_asked_for(self, address: str) -> None:
        with pytest.raises(ConfigError, match="public=True"):
            DebugServer(address)
        DebugServer(address, public=True)

    @pytest.mark.parametrize(
        "address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "unix:/tmp/d.sock"]
    )
    def test_address_of_this_machine_is_taken(self, address: str) -> None:
        DebugServer(address)

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:9100", "localhost.evil", ""])
    async def test_page_of_somebody_else_cannot_lead_a_browser_here(self, host: str) -> None:
        async with debugged(DebugServer()) as process:
            answer = await process.get("/debug/config", Host=host)
        assert (answer.status, answer.json()["reason"]) == (403, "HOST")

    @pytest.mark.parametrize(
        ("site", "status"),
        [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)],
    )
    async def test_page_of_somebody_else_cannot_have_a_browser_ask(
        self, site: str, status: int
    ) -> None:
        headers = {"Host": "localhost", "Sec-Fetch-Site": site}
        async with debugged(DebugServer()) as process:
            assert (await process.get("/debug/gc?top=5", **headers)).status == status

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:1", "127.0.0.1:1", "[::1]", "[::1]:1"]
    )
    async def test_this_machine_may_be_called_by_its_names(self, host: str) -> None:
        async with debugged(DebugServer()) as process:
            assert (await process.get("/debug/app", Host=host)).status == 200

    @pytest.mark.parametrize(
        ("peer", "status"),
        [
            *(("127.0.0.1:5", 200), ("127.8.8.8:5", 200), ("[::1]:5", 200), ("unix:", 200)),
            *(("10.0.0.1:5", 403), ("[2001:db8::1]:5", 403), ("strange", 403)),
        ],
    )
    async def test_peers_elsewhere_may_not_look_inside(self, peer: str, status: int) -> None:
        async def make(_head: Head) -> Reply:
            return text_page("secret")

        endpoint = endpoint_of(Page(path="/debug/x", title="", make=make))
        head = Head("GET", b"/debug/x", b"", [(b"host", b"localhost")], peer=peer)
        reply = await endpoint.answer(head, b"")
        assert reply.status == status
        assert (b"secret" in reply.body) is (status == 200)

    async def test_unix_socket_is_for_whom_it_is_made(self, tmp_path: Path) -> None:
        path = tmp_path / "debug.sock"
        debug = DebugServer(f"unix:{path}", socket_mode=0o600)
        async with running(App(servers=[debug])):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            peer = await SocketPeer.connect_unix(str(path))
            await peer.send(b"GET /debug/app HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await peer.answer()).status == 200
            await peer.aclose()


class TestItsPlace:
    async def test_it_is_not_registered(self) -> None:
        debug = DebugServer()
        async with debugged(debug) as process:
            assert debug.url not in process.app.endpoints

    async def test_address_that_is_taken_is_named(self) -> None:
        async with debugged(DebugServer()) as process:
            taken = DebugServer("127.0.0.1:" + str(port_of(process)))
            with pytest.raises(StartupError, match="in use"):
                await App(servers=[taken]).run()

    @pytest.mark.parametrize(
        ("address", "own"),
        [
            ("127.0.0.1:9100", "127.0.0.1:9103"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("unix:/d.sock", "unix:/d.sock.3"),
        ],
    )
    def test_each_worker_has_an_address_of_its_own(
        self, address: str, own: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kratos.process._slots", [])
        become_worker(3)
        assert str(own_address(Address.parse(address))) == own

    def test_last_port_leaves_none_for_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kratos.process._slots", [])
        become_worker(1)
        with pytest.raises(ConfigError, match="no port for worker 1"):
            DebugServer("127.0.0.1:65535")


def port_of(process: Running) -> int:
    (debug,) = [each for each in process.app.options.servers if isinstance(each, DebugServer)]
    return int(debug.url.rpartition(":")[2])
