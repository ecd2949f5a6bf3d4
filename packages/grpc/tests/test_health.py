"""Health over gRPC, from the application's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from kratos.errors import Error
from kratos.health import Health, Kind, Phase, Status
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, Method, Service
from kratos_grpc import health_check
from kratos_grpc.health import HEALTH_CHECK, HEALTH_LIST, HEALTH_WATCH
from kratos_grpc.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN
STATUSES = (HealthCheckResponse.UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN)


@pytest.fixture
def health() -> Health:
    health = Health()
    health.set("greeter.Greeter", Status.SERVING)
    health.advance(Phase.SERVING)
    return health


def test_messages_are_those_of_the_standard_on_the_wire() -> None:
    assert HealthCheckRequest(service="s").SerializeToString() == b"\x0a\x01s"
    wire = [HealthCheckResponse(status=status).SerializeToString() for status in STATUSES]
    assert wire == [b"", b"\x08\x01", b"\x08\x02", b"\x08\x03"]
    assert HEALTH_CHECK.operation == "/grpc.health.v1.Health/Check"


@pytest.mark.parametrize("service", ["", "greeter.Greeter"])
async def test_check_tells_the_status_of_a_service(
    serve: Any, health: Health, service: str
) -> None:
    async with serve(EchoService(), health=health) as served:
        reply = await served.caller.unary(HEALTH_CHECK, HealthCheckRequest(service=service))
    assert reply.status == SERVING


async def test_check_runs_the_checks_of_readiness(serve: Any, health: Health) -> None:
    def away() -> bool:
        return False

    health.add_check("database", away)
    async with serve(EchoService(), health=health) as served:
        reply = await served.caller.unary(HEALTH_CHECK, HealthCheckRequest())
    assert reply.status == NOT_SERVING
    assert [result.ok for result in (await health.report(Kind.READY)).results] == [False]


async def test_check_of_an_unknown_service_is_not_found(serve: Any, health: Health) -> None:
    async with serve(EchoService(), health=health) as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(HEALTH_CHECK, HealthCheckRequest(service="no.Service"))
    assert failure.value.code == 404


async def test_list_tells_the_status_of_every_service(serve: Any, health: Health) -> None:
    health.set("other.Other", Status.NOT_SERVING)
    async with serve(EchoService(), health=health) as served:
        reply = await served.caller.unary(HEALTH_LIST, HealthListRequest())
    assert {name: status.status for name, status in reply.statuses.items()} == {
        "": SERVING,
        "greeter.Greeter": SERVING,
        "other.Other": NOT_SERVING,
    }


async def test_watch_sends_the_status_now_and_each_new_one(serve: Any, health: Health) -> None:
    request = HealthCheckRequest(service="late.Late")
    async with (
        serve(EchoService(), health=health) as served,
        served.caller.server_stream(HEALTH_WATCH, request) as statuses,
    ):
        seen = [(await statuses.__anext__()).status]
        for status in (Status.SERVING, Status.NOT_SERVING):
            health.set("late.Late", status)
            seen.append((await statuses.__anext__()).status)
    assert seen == [SERVICE_UNKNOWN, SERVING, NOT_SERVING]


async def test_watcher_that_leaves_is_forgotten(serve: Any) -> None:
    class Watched(Health):
        watchers = 0

        def subscribe(self, service: str, listener: Any, /) -> Callable[[], None]:
            unsubscribe = super().subscribe(service, listener)
            self.watchers += 1

            def leave() -> None:
                self.watchers -= 1
                unsubscribe()

            return leave

    health = Watched()
    async with serve(EchoService(), health=health) as served:
        own = health.watchers  # that of the server
        async with served.caller.server_stream(HEALTH_WATCH, HealthCheckRequest()) as statuses:
            await statuses.__anext__()
            present = health.watchers
    assert (present - own, health.watchers) == (1, 0)


async def test_probes_pass_no_middleware(serve: Any, health: Health) -> None:
    async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
        raise Error(401, "UNAUTHORIZED")

    async with serve(EchoService(), health=health, middleware=[refuse]) as served:
        reply = await served.caller.unary(HEALTH_CHECK, HealthCheckRequest())
    assert reply.status == SERVING


async def test_server_without_health_does_not_serve_it(serve: Any) -> None:
    async with serve(EchoService()) as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(HEALTH_CHECK, HealthCheckRequest())
    assert failure.value.code == 501


async def test_health_service_of_the_user_comes_in_place_of_ours(
    serve: Any, health: Health
) -> None:
    class Own(Service):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (HEALTH_CHECK,)

        async def check(self, _request: HealthCheckRequest, /) -> HealthCheckResponse:
            return HealthCheckResponse(status=NOT_SERVING)

    services: Sequence[Service] = (EchoService(), Own())
    async with serve(*services, health=health) as served:
        reply = await served.caller.unary(HEALTH_CHECK, HealthCheckRequest())
    assert reply.status == NOT_SERVING


@pytest.mark.parametrize(
    ("service", "healthy"), [("", True), ("greeter.Greeter", True), ("asleep.Sleeper", False)]
)
async def test_client_asks_for_the_health_of_a_node(
    serve: Any, health: Health, service: str, *, healthy: bool
) -> None:
    health.set("asleep.Sleeper", Status.NOT_SERVING)
    async with serve(EchoService(), health=health) as served:
        assert await health_check(service)(served.connection) is healthy


async def test_client_learns_that_a_service_is_unknown(serve: Any, health: Health) -> None:
    async with serve(EchoService(), health=health) as served:
        with pytest.raises(Error, match="UNKNOWN_SERVICE"):
            await health_check("nobody")(served.connection)
