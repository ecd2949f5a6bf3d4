"""The life of a server: addresses, start, stop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.address import Address
from kratos.errors import ConfigError, Error, StartupError, TargetError
from kratos.health import Health
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import (
    ChainCaller,
    Endpointer,
    Mount,
    Mountable,
    Readying,
    Server,
    Shareable,
)
from kratos.transport.listening import allow_sharing
from kratos.transport.listening import reserve as reserve_socket
from kratos_grpc import GrpcServer, ServerLimits, ServerTls
from kratos_grpc._grpcio.reservation import Reservation, reserve


class Occupied:
    """A port that somebody else listens on."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"


@pytest.fixture
async def occupied() -> AsyncIterator[Occupied]:
    occupied = Occupied()
    yield occupied
    occupied.socket.close()


def test_server_is_all_that_an_application_asks_for() -> None:
    server = GrpcServer()
    for protocol in (Server, Mountable, Endpointer, Readying, Shareable):
        assert isinstance(server, protocol)


@pytest.mark.parametrize(
    "address",
    ["", "9000", "host", "host:", ":x", ":70000", ":٣", "a b:1", "::1:9000", "[host]:1", "unix:"],
)
def test_address_that_is_none_is_refused_with_examples(address: str) -> None:
    with pytest.raises(TargetError, match="write :8000"):
        GrpcServer(address)


@pytest.mark.parametrize("name", ["max_receive", "min_ping_interval", "max_connection_age"])
def test_limit_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ServerLimits(**{name: 0})


async def test_bound_server_refuses_connections_until_it_starts() -> None:
    server = GrpcServer("127.0.0.1:0")
    (url,) = await server.bind()
    host, _, port = url.removeprefix("grpc://").rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    await server.stop()


async def test_bound_address_is_kept_from_others_until_stop_releases_it() -> None:
    first = GrpcServer("127.0.0.1:0")
    (url,) = await first.bind()
    address = url.removeprefix("grpc://")
    second = GrpcServer(address)
    with pytest.raises(StartupError, match=address):
        await second.bind()
    await first.stop()
    assert await second.bind() == (url,)
    await second.stop()


async def test_address_in_use_is_named_at_bind(occupied: Occupied) -> None:
    with pytest.raises(StartupError, match=f"{occupied.address}: the address is in use"):
        await GrpcServer(occupied.address).bind()


async def test_log_says_by_the_name_of_grpc_where_it_is_served(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kratos")
    async with serve(EchoService()) as served:
        told = f"serving gRPC on grpc://{served.address}"
    assert [each.name for each in caplog.records if each.getMessage() == told] == ["kratos.grpc"]


async def test_serving_address_is_in_use_for_everybody_else(serve: Any) -> None:
    async with serve() as served:
        with pytest.raises(StartupError, match="in use"):
            await GrpcServer(served.address).bind()


async def test_shared_port_is_served_by_both_who_say_so(serve: Any) -> None:
    async with (
        serve(EchoService(), share_port=True) as first,
        serve(EchoService(), share_port=True, address=first.address) as second,
    ):
        assert (await second.caller.unary(ECHO, text("ok"))).value == "ok"


async def test_host_without_an_address_is_named_at_bind() -> None:
    with pytest.raises(StartupError, match=r"host\.invalid:0"):
        await GrpcServer("host.invalid:0").bind()


def test_time_limit_of_no_operation_is_refused_with_the_nearest() -> None:
    server = GrpcServer("127.0.0.1:0", timeouts={"/kratos.testing.Echo/Ecko": 1.0})
    with pytest.raises(StartupError, match=r"timeouts names .* mean '/kratos.testing.Echo/Echo'"):
        server.mount(Mount(services=[EchoService()]))


async def test_bind_is_idempotent() -> None:
    server = GrpcServer("127.0.0.1:0")
    assert await server.bind() == await server.bind()
    await server.stop()


async def test_endpoint_is_reachable_by_others_where_every_address_is_listened_on() -> None:
    server = GrpcServer(":0")
    (url,) = await server.bind()
    host = url.removeprefix("grpc://").rpartition(":")[0]
    assert host not in ("", "0.0.0.0", "[::]")
    await server.stop()


@pytest.mark.engine("grpcio")
async def test_endpoint_says_tls_in_its_scheme() -> None:
    server = GrpcServer("127.0.0.1:0", tls=ServerTls(certificate=b"", key=b""))
    (url,) = await server.bind()
    assert url.startswith("grpcs://127.0.0.1:")
    await server.stop()


async def test_endpoint_that_is_given_is_the_one_that_is_published() -> None:
    server = GrpcServer("127.0.0.1:0", endpoint="grpc://greeter.example:443")
    assert await server.bind() == ("grpc://greeter.example:443",)
    await server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
async def test_server_is_reached_at_each_form_of_address(serve: Any, host: str) -> None:
    async with serve(EchoService(), address=f"{host}:0") as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_server_is_reached_by_ipv6(serve: Any) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    async with serve(EchoService(), address="[::1]:0") as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"


async def test_unix_socket_is_served_and_published_to_nobody(serve: Any, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    async with serve(EchoService(), address=address) as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"
        assert await served.server.bind() == ()
        with pytest.raises(StartupError, match="in use"):
            await GrpcServer(address).bind()
    async with serve(EchoService(), address=address) as served:
        assert (await served.caller.unary(ECHO, text("again"))).value == "again"


async def test_file_in_the_place_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(StartupError, match="in use"):
        await GrpcServer(f"unix:{file}").bind()
    assert file.read_text() == "precious"


async def test_folder_of_a_unix_socket_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        await GrpcServer(f"unix:{tmp_path}/no/socket").bind()


async def test_services_of_a_second_application_are_refused() -> None:
    server = GrpcServer()
    server.mount(Mount())
    with pytest.raises(StartupError, match="once"):
        server.mount(Mount())


async def test_server_without_services_answers(serve: Any) -> None:
    async with serve() as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text("ok"))
    assert failure.value.code == 501


async def test_stop_before_start_lets_start_return_at_once() -> None:
    server = GrpcServer("127.0.0.1:0")
    await server.bind()
    await server.stop()
    await server.start()


async def test_stop_answers_what_is_in_flight_and_refuses_what_comes(serve: Any) -> None:
    release = asyncio.Event()

    class Held(EchoService):
        async def _answer(self, request: Any) -> Any:
            await release.wait()
            return request

    service = Held()
    async with serve(service) as served:
        calling = asyncio.create_task(served.caller.unary(ECHO, text("ok")))
        await service.entered.wait()
        stopping = asyncio.create_task(served.server.stop())
        while served.connection.ready:  # noqa: ASYNC110  the news comes from the other end
            await asyncio.sleep(0)
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text("late"))
        assert not stopping.done()
        release.set()
        assert (await calling).value == "ok"
        await stopping
    assert failure.value.code == 503
    assert service.seen == ["ok"]


async def test_stop_that_is_cancelled_answers_what_is_in_flight_with_503(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served:
        calling = asyncio.create_task(served.caller.unary(ECHO, text("hang")))
        await service.entered.wait()
        stopping = asyncio.create_task(served.server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        with pytest.raises(Error) as failure:
            await calling
    assert (failure.value.code, failure.value.reason) == (503, "DRAINING")


async def test_handler_that_ignores_its_cancellation_does_not_hold_up_a_stop_cut_short(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    class Deaf(EchoService):
        async def _answer(self, request: Any) -> Any:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return request

    service = Deaf()
    async with serve(service, cancel_grace=0.05) as served:
        calling = asyncio.create_task(served.caller.unary(ECHO, text("x")))
        await service.entered.wait()
        await served.drain(0.0)
        with pytest.raises(Error) as failure:
            await calling
        release.set()
        await service.left.wait()
    assert failure.value.code == 503


async def test_start_that_is_cancelled_cuts_off_every_call(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served:
        server = GrpcServer("127.0.0.1:0", timeout=None)
        server.mount(Mount(services=[service]))
        (url,) = await server.bind()
        starting = asyncio.create_task(server.start())
        await server.ready()
        peer: Any = grpc.aio.insecure_channel(url.removeprefix("grpc://"))
        call = peer.unary_unary(ECHO.operation)(text("hang").SerializeToString())
        await service.entered.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        await peer.close()
        await server.stop()
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"
    assert service.interrupted == 1


@pytest.mark.engine("grpcio")
async def test_server_that_cannot_have_its_address_after_all_says_so(
    occupied: Occupied, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address.parse(occupied.address)
    lost = [Reservation(address, None)]

    async def reserve_once(_address: Address, *, shared: bool) -> Reservation:
        return lost.pop() if lost else await reserve(address, shared=shared)

    monkeypatch.setattr("kratos_grpc._grpcio.engine.reserve", reserve_once)
    server = GrpcServer(occupied.address)
    with pytest.raises(StartupError, match=f"{occupied.address}: the address is in use"):
        await server.start()
    await server.stop()


async def test_watchers_of_health_do_not_hold_up_a_stop(serve: Any) -> None:
    health = Health()
    async with serve(EchoService(), health=health) as served:
        channel: Any = grpc.aio.insecure_channel(served.address)
        watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        await watching.read()
        await served.server.stop()
        assert await watching.code() is grpc.StatusCode.UNAVAILABLE
        await channel.close()


async def test_streams_in_flight_end_before_the_server_does(serve: Any) -> None:
    released = asyncio.Event()

    class Slow(EchoService):
        async def _answer(self, request: Any) -> Any:
            if request.value == "two":
                await released.wait()
            return request

    async with serve(Slow()) as served:
        caller: ChainCaller = served.caller
        async with caller.server_stream(WATCH, text("one two three")) as replies:
            words = [(await replies.__anext__()).value]
            stopping = asyncio.create_task(served.server.stop())
            await asyncio.sleep(0)
            released.set()
            words += [reply.value async for reply in replies]
        await stopping
    assert words == ["one", "two", "three"]


async def test_connection_that_is_too_old_takes_no_more_calls_and_is_replaced(serve: Any) -> None:
    limits = ServerLimits(max_connection_age=0.05)
    async with serve(EchoService(), limits=limits) as served:
        assert (await served.caller.unary(ECHO, text("one"))).value == "one"
        while served.connection.ready:  # noqa: ASYNC110  the news comes from the other end
            await asyncio.sleep(0)
        assert (await served.caller.unary(ECHO, text("two"))).value == "two"


@pytest.mark.engine("grpcio")
async def test_servers_share_an_address_that_a_socket_holds() -> None:
    with await reserve_socket(Address(host="127.0.0.1")) as holder:
        allow_sharing(holder)
        place = Address(host="127.0.0.1", port=holder.getsockname()[1])
        servers = [GrpcServer("localhost:0"), GrpcServer("localhost:0")]
        for server in servers:
            assert server.address == Address(host="localhost")
            assert not server.takes_socket
            server.mount(Mount(services=[EchoService()]))
            server.share(place)
            assert await server.bind() == (f"grpc://localhost:{place.port}",)
        runs = [asyncio.create_task(server.start()) for server in servers]
        for server in servers:
            await server.ready()
            await server.stop()
        await asyncio.gather(*runs)


@pytest.mark.engine("grpcio")
def test_unix_socket_cannot_be_shared() -> None:
    assert GrpcServer("unix:/tmp/some.socket").address is None
