"""The life of a server: address, start, drain, stop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from google.protobuf.wrappers_pb2 import StringValue

from kratos.address import Address
from kratos.errors import ConfigError, StartupError, TargetError
from kratos.health import Health, Kind, Phase
from kratos.middleware import outcome
from kratos.testing.echo import EchoService
from kratos.transport import (
    Call,
    Endpointer,
    Handler,
    Mount,
    Mountable,
    Readying,
    Server,
    Shareable,
)
from kratos.transport.listening import reserve
from kratos_http import HealthPaths, HttpServer
from kratos_http.testing import SocketPeer, running

ECHO = "/kratos.testing/echo"
JSON = [("Content-Type", "application/json")]


def server_of(service: EchoService, address: str = "127.0.0.1:0", **options: Any) -> HttpServer:
    server = HttpServer(address, timeout=None, **options)
    server.mount(Mount(services=[service]))
    return server


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
async def peers() -> AsyncIterator[list[SocketPeer]]:
    """Return a list of connections that are closed at the end."""
    opened: list[SocketPeer] = []
    yield opened
    for peer in opened:
        await peer.aclose()


async def connect(server: HttpServer, peers: list[SocketPeer]) -> SocketPeer:
    (url,) = await server.bind()
    peer = await SocketPeer.connect("127.0.0.1", port_of(url))
    peers.append(peer)
    return peer


async def echo(peer: SocketPeer, word: str) -> Any:
    return await peer.request("POST", ECHO, headers=JSON, body=f'"{word}"'.encode())


def test_server_is_what_an_application_asks_for() -> None:
    server = HttpServer()
    for protocol in (Server, Mountable, Endpointer, Readying, Shareable):
        assert isinstance(server, protocol)


async def test_bound_address_is_taken_and_refuses_connections() -> None:
    server = server_of(EchoService())
    (url,) = await server.bind()
    assert await server.bind() == (url,)
    with pytest.raises(ConnectionRefusedError):
        await SocketPeer.connect("127.0.0.1", port_of(url))
    for address in (f"127.0.0.1:{port_of(url)}", f":{port_of(url)}"):
        with pytest.raises(StartupError, match="in use") as refusal:
            await HttpServer(address).bind()
        assert address in str(refusal.value)
    await server.stop()
    again = HttpServer(f"127.0.0.1:{port_of(url)}")
    assert await again.bind() == (url,)
    await again.stop()


async def test_port_of_a_serving_server_is_in_use() -> None:
    async with running(server_of(EchoService())) as server:
        (url,) = await server.bind()
        with pytest.raises(StartupError, match=rf"127\.0\.0\.1:{port_of(url)}.*in use"):
            await HttpServer(f"127.0.0.1:{port_of(url)}").start()


async def test_port_can_be_had_again_while_old_connections_time_out(
    peers: list[SocketPeer],
) -> None:
    async with running(server_of(EchoService())) as server:
        (url,) = await server.bind()
        peer = await connect(server, peers)
        await echo(peer, "ok")
    assert await peer.rest() == b""  # the server closed first, so the port is in TIME_WAIT
    async with running(server_of(EchoService(), f"127.0.0.1:{port_of(url)}")) as server:
        assert (await echo(await connect(server, peers), "ok")).status == 200


async def test_address_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(StartupError, match=r"192\.0\.2\.1:80"):
        await HttpServer("192.0.2.1:80").bind()


@pytest.mark.parametrize(
    "address",
    ["8000", "host:", "host:x", "host:65536", "a:b:1", "::1:80", "unix:", "a b:1", "[::1]", ""],
)
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(TargetError, match="write :8000"):
        HttpServer(address)


def test_prefix_that_is_no_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="slash"):
        HttpServer(path_prefix="api")


def test_option_that_is_switched_on_by_true_is_told_what_to_write() -> None:
    wrong: Any = True
    with pytest.raises(ConfigError, match=r"openapi is OpenApi\(\.\.\.\) or None, not True"):
        HttpServer(openapi=wrong)
    with pytest.raises(ConfigError, match=r"limits is Limits\(\.\.\.\) or None, not {}"):
        HttpServer(limits={})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"health_paths is HealthPaths\(\.\.\.\)"):
        HttpServer(health_paths=wrong)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
async def test_address_without_a_host_serves_both_families(peers: list[SocketPeer]) -> None:
    async with running(server_of(EchoService(), ":0")) as server:
        (url,) = await server.bind()
        for host in ("127.0.0.1", "::1"):
            peer = await SocketPeer.connect(host, port_of(url))
            peers.append(peer)
            assert (await echo(peer, "ok")).json() == "ok"


async def test_endpoint_is_the_one_that_was_given() -> None:
    server = HttpServer("127.0.0.1:0", endpoint="http://example.org:80")
    assert await server.bind() == ("http://example.org:80",)
    await server.stop()


async def test_unix_socket_is_served_and_removed(tmp_path: Path, peers: list[SocketPeer]) -> None:
    path = tmp_path / "a.sock"
    server = server_of(EchoService(), f"unix:{path}")
    async with running(server):
        assert await server.bind() == ()
        peer = await SocketPeer.connect_unix(str(path))
        peers.append(peer)
        assert (await echo(peer, "ok")).json() == "ok"
        with pytest.raises(StartupError, match="in use"):
            await HttpServer(f"unix:{path}").bind()
    assert not path.exists()


async def test_unix_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = server_of(EchoService(), f"unix:{path}")
    await server.bind()
    await server.stop()
    assert not path.exists()


async def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(StartupError, match="precious"):
        await HttpServer(f"unix:{path}").bind()
    assert path.read_text() == "data"


async def test_socket_that_was_handed_in_is_served(peers: list[SocketPeer]) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = HttpServer(sock=sock)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        assert url == f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert (await echo(await connect(server, peers), "ok")).json() == "ok"


async def test_tls_is_served() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    seen: list[str] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.endpoint)
        return await next(call, request)

    async with running(server_of(EchoService(), tls=context, middleware=[note])) as server:
        (url,) = await server.bind()
        assert url.startswith("https://127.0.0.1:")
        peer = await SocketPeer.connect("127.0.0.1", port_of(url), tls=trusting)
        assert (await echo(peer, "ok")).json() == "ok"
        refused = await peer.request("POST", ECHO, headers=[("X", "a" * 70_000)])
        assert refused.status == 431
        await peer.aclose()
    assert seen == [url]


async def test_stop_answers_what_is_in_flight(peers: list[SocketPeer]) -> None:
    inside, release = asyncio.Event(), asyncio.Event()

    async def hold(call: Call, request: Any, next: Handler, /) -> Any:
        inside.set()
        await release.wait()
        return await next(call, request)

    async with running(server_of(EchoService(), middleware=[hold])) as server:
        peer, idle = await connect(server, peers), await connect(server, peers)
        asking = asyncio.ensure_future(echo(peer, "ok"))
        await inside.wait()
        stopping = asyncio.ensure_future(server.stop())
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await connect(server, peers)
        assert not stopping.done()
        release.set()
        answer = await asking
        assert (answer.json(), answer.header("connection")) == ("ok", "close")
        await stopping


async def test_stop_that_is_cut_short_answers_503(peers: list[SocketPeer]) -> None:
    service = EchoService()
    ends: list[str] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except BaseException as error:
            ends.append(outcome(call, error).reason)
            raise

    async with running(server_of(service, middleware=[note])) as server:
        asking = asyncio.ensure_future(echo(await connect(server, peers), "hang"))
        await service.entered.wait()
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        answer = await asking
        assert (answer.status, answer.json()["reason"]) == (503, "DRAINING")
        with pytest.raises(asyncio.CancelledError):
            await stopping
    assert ends == ["DRAINING"]


async def test_handler_that_ignores_its_cancellation_does_not_hold_the_stop(
    peers: list[SocketPeer], caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()
    service = EchoService()

    async def stubborn(call: Call, request: Any, next: Handler, /) -> Any:
        while not release.is_set():
            try:
                service.entered.set()
                await release.wait()
            except asyncio.CancelledError:
                continue
        return StringValue()

    server = server_of(service, middleware=[stubborn], cancel_grace=0.01)
    try:
        async with running(server):
            asking = asyncio.ensure_future(echo(await connect(server, peers), "x"))
            await service.entered.wait()
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            stopping.cancel()
            await asyncio.wait({stopping})
        with pytest.raises(ConnectionError):
            await asking
    finally:
        release.set()
    assert "ignored their cancellation" in caplog.text


async def test_peer_that_goes_away_cancels_the_call_with_its_cause(
    peers: list[SocketPeer],
) -> None:
    service, ended = EchoService(), asyncio.Event()
    ends: list[tuple[int, str]] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except BaseException as error:
            end = outcome(call, error)
            ends.append((end.code, end.reason))
            ended.set()
            raise

    async with running(server_of(service, middleware=[note])) as server:
        peer = await connect(server, peers)
        await peer.send(
            b"POST /kratos.testing/echo HTTP/1.1\r\nHost: h\r\n"
            b'Content-Type: application/json\r\nContent-Length: 6\r\n\r\n"hang"'
        )
        await service.entered.wait()
        await peer.aclose()
        await ended.wait()
    assert ends == [(499, "CLIENT_CLOSED")]


async def test_stopped_server_does_not_start() -> None:
    server = server_of(EchoService())
    await server.bind()
    await server.stop()
    await server.stop()
    await server.start()


async def test_cancelled_start_leaves_nothing_behind(peers: list[SocketPeer]) -> None:
    service = EchoService()
    server = server_of(service)
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    asking = asyncio.ensure_future(echo(await connect(server, peers), "hang"))
    await service.entered.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert service.interrupted == 1
    with pytest.raises(ConnectionError):
        await asking
    with pytest.raises(ConnectionRefusedError):
        await connect(server, peers)


async def test_health_is_answered_where_it_was_asked_for(peers: list[SocketPeer]) -> None:
    health = Health()
    health.add_check("data base", lambda: False, kind=Kind.READY)
    server = HttpServer("127.0.0.1:0", health_paths=HealthPaths(startup=""))
    server.mount(Mount(services=[EchoService()], health=health))
    health.advance(Phase.SERVING)
    async with running(server):
        peer = await connect(server, peers)
        assert (await peer.request("GET", "/livez")).json() == {
            "ok": True,
            "phase": "serving",
            "checks": [],
        }
        ready = await peer.request("GET", "/readyz")
        assert (await peer.request("GET", "/startupz")).status == 404
    assert ready.status == 503
    assert ready.json()["checks"] == [{"name": "data base", "ok": False, "critical": True}]
    await health.aclose()


async def test_health_is_not_answered_by_default(peers: list[SocketPeer]) -> None:
    server = HttpServer("127.0.0.1:0")
    server.mount(Mount(services=[EchoService()], health=Health()))
    async with running(server):
        peer = await connect(server, peers)
        assert (await peer.request("GET", "/livez")).status == 404


async def test_server_shares_a_socket_that_another_process_keeps(peers: list[SocketPeer]) -> None:
    with await reserve(Address(host="127.0.0.1")) as kept:
        port = kept.getsockname()[1]
        server = server_of(EchoService(), "localhost:0")
        assert server.takes_socket
        assert server.address == Address(host="localhost", port=0)
        server.share(kept.dup())
        assert server.address == Address(host="localhost", port=0)
        async with running(server):
            assert await server.bind() == (f"http://localhost:{port}",)
            assert (await echo(await connect(server, peers), "ok")).status == 200
        # Nobody serves, and yet who comes now waits for the next server.
        waiting = await SocketPeer.connect("127.0.0.1", port)
        peers.append(waiting)
        successor = server_of(EchoService())
        successor.share(kept.dup())
        async with running(successor):
            assert (await echo(waiting, "ok")).status == 200


async def test_path_of_a_shared_unix_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with await reserve(Address(path=str(path))) as kept:
        server = server_of(EchoService(), f"unix:{path}")
        server.share(kept.dup())
        async with running(server):
            peer = await SocketPeer.connect_unix(str(path))
            assert (await echo(peer, "ok")).status == 200
            await peer.aclose()
        assert path.exists()


def test_server_with_a_socket_of_its_own_cannot_be_shared() -> None:
    with socket.socket() as own:
        assert HttpServer(sock=own).address is None


async def test_answers_are_the_last_ones_of_their_connections_when_the_application_is_to_stop(
    peers: list[SocketPeer],
) -> None:
    health = Health()
    server = HttpServer("127.0.0.1:0")
    server.mount(Mount(services=[EchoService()], health=health))
    async with running(server):
        health.advance(Phase.SERVING)
        busy, idle = await connect(server, peers), await connect(server, peers)
        for peer in (busy, idle):
            assert (await echo(peer, "ok")).header("connection") != "close"
        health.advance(Phase.STOPPING)
        answer = await echo(busy, "ok")
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await busy.rest() == b""
        # One that nobody uses is left alone until the server stops.
        assert (await echo(idle, "ok")).status == 200


async def test_first_request_of_a_connection_is_answered_though_the_server_stops(
    peers: list[SocketPeer],
) -> None:
    async with running(server_of(EchoService())) as server:
        used, fresh = await connect(server, peers), await connect(server, peers)
        assert (await echo(used, "ok")).status == 200
        stopping = asyncio.create_task(server.stop())
        assert await used.rest() == b""
        answer = await echo(fresh, "ok")
        assert (answer.status, answer.header("connection")) == (200, "close")
        await stopping


async def test_connection_that_never_asks_does_not_hold_the_stop_up(
    peers: list[SocketPeer],
) -> None:
    async with running(server_of(EchoService())) as server:
        fresh = await connect(server, peers)
        await server.stop()
        assert await fresh.rest() == b""
