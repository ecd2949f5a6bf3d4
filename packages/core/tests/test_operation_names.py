"""Operations named in options: one that is none is refused, with the nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kratos import http_pb2 as _http_pb2
from kratos.client import Client
from kratos.errors import ConfigError, StartupError
from kratos.middleware import AnyMiddleware, timeout
from kratos.middleware.selector import Matcher, selector
from kratos.testing.echo import EchoService
from kratos.transport import Call, Handler, local
from kratos.transport.local import LocalTransport
from kratos.transport.naming import nearest, require_declared, require_known

SLIP = "/kratos.testing.Echo/Ecko"
ELSEWHERE = "/shop.v1.Orders/Get"
KNOWN = ["/a.B/Get", "/a.B/List", "/files/{path=**}"]


def slips(*names: str) -> list[tuple[str, AnyMiddleware]]:
    """Return middleware that was told names, in all ways to tell."""
    limits = timeout(operations=dict.fromkeys(names, 1.0))
    matcher = Matcher()
    matcher.add("/*", [limits])
    matcher.add("/kratos.testing.Echo/Echo", [limits])
    return [
        ("timeout", limits),
        ("floors", timeout(floors=dict.fromkeys(names, 0.5))),
        ("selector", selector([outermost], paths=names)),
        ("within a selector", selector([limits], prefixes=["/"])),
        ("within a matcher", matcher),
    ]


async def outermost(call: Call, request: Any, next: Handler, /) -> Any:
    return await next(call, request)


def test_time_limit_of_no_operation_is_refused_with_the_nearest() -> None:
    with pytest.raises(StartupError, match=rf"timeouts names '{SLIP}'.* mean '/.*Echo/Echo'\?"):
        LocalTransport(EchoService(), timeouts={SLIP: 1.0})


def test_time_limit_of_another_service_is_one_of_no_operation() -> None:
    with pytest.raises(StartupError, match=r"timeouts names '/shop\.v1\.Orders/Get'"):
        LocalTransport(EchoService(), timeouts={ELSEWHERE: 1.0})


@pytest.mark.parametrize(("way", "middleware"), slips(SLIP))
def test_middleware_that_was_told_no_method_of_its_service_is_refused(
    way: str, middleware: AnyMiddleware
) -> None:
    with pytest.raises(StartupError, match=r"the middleware \w+ names .*mean '/.*Echo/Echo'"):
        local(EchoService(), middleware=[middleware])


@pytest.mark.parametrize(("way", "middleware"), slips(ELSEWHERE, "/kratos.testing.Echo/Echo"))
def test_middleware_may_be_told_operations_of_other_servers(
    way: str, middleware: AnyMiddleware
) -> None:
    local(EchoService(), middleware=[middleware])


def test_names_of_the_operations_of_a_server_pass() -> None:
    LocalTransport(EchoService(), timeouts={"/kratos.testing.Echo/Echo": 1.0})


@pytest.mark.parametrize("name", ["/a.B/Get", "/a.B/*", "/*", "*", "/a.B/G*", "/files/*"])
def test_name_or_beginning_of_an_operation_is_known(name: str) -> None:
    require_known("x", [name], KNOWN)


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("/a.B/Gte", "; did you mean '/a.B/Get'?"),
        ("/a.C/*", "; did you mean '/a.B/*'?"),
        ("/files/{paht=**}", "; did you mean '/files/{path=**}'?"),
        ("nothing of the kind", "; there are /a.B/Get, /a.B/List, /files/{path=**}"),
    ],
)
def test_nearest_operation_is_named(name: str, guess: str) -> None:
    assert nearest(name, KNOWN) == guess
    with pytest.raises(StartupError):
        require_known("x", [name], KNOWN)


def test_there_may_be_no_operation_to_name() -> None:
    assert nearest("/a.B/Get", ()) == "; nothing is"
    many = [f"/a.B/Method{number}" for number in range(9)]
    assert nearest("???", many).endswith("Method4, ...")


CLIENTS: Sequence[Callable[[AnyMiddleware], object]] = [
    lambda middleware: Client("127.0.0.1:1", middleware=[middleware]),
    lambda middleware: require_declared([middleware]),
]


@pytest.mark.parametrize("make", CLIENTS)
def test_client_refuses_a_method_that_is_not_in_the_definition(
    make: Callable[[AnyMiddleware], object], library: str
) -> None:
    with pytest.raises(ConfigError, match=rf"names '/{library}/Gte', .* mean '/{library}/Get'"):
        make(timeout(operations={f"/{library}/Gte": 1.0}))
    make(timeout(operations={f"/{library}/Get": 1.0}))


def test_each_middleware_of_one_kind_is_looked_at(library: str) -> None:
    first = timeout(operations={f"/{library}/Gte": 1.0})
    with pytest.raises(ConfigError, match=rf"names '/{library}/Gte'"):
        require_declared([first, timeout(operations={f"/{library}/Get": 1.0})])


def test_client_lets_pass_what_it_has_no_definition_of() -> None:
    require_declared([timeout(operations={"/unknown.v1.Things/Get": 1.0}), outermost])


def test_floor_of_no_operation_is_refused_at_both_ends(library: str) -> None:
    with pytest.raises(ConfigError, match=rf"floors names '/{library}/Lits'"):
        Client("127.0.0.1:1", floors={f"/{library}/Lits": 0.5})
    with pytest.raises(StartupError, match=rf"floors names '{SLIP}'"):
        local(EchoService(), floors={SLIP: 0.5})


@pytest.fixture(scope="session")
def library() -> str:
    """Return the name of a service whose definition is known to this process."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="naming_test.proto", package="naming.test")
    file.dependency.append(_http_pb2.DESCRIPTOR.name)
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Library")
    for name in ("Get", "List"):
        service.method.add(
            name=name, input_type=".naming.test.Nothing", output_type=".naming.test.Nothing"
        )
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return "naming.test.Library"


def test_middleware_that_was_told_what_is_like_no_operation_is_refused() -> None:
    with pytest.raises(StartupError, match="names 'Echo', which is not served here"):
        local(EchoService(), middleware=[timeout(floors={"Echo": 0.5})])


def test_client_refuses_a_name_that_is_like_no_operation() -> None:
    with pytest.raises(ConfigError, match="floors names 'Echo', which is like no operation: /p"):
        Client("http://127.0.0.1:1", floors={"Echo": 0.5})


@pytest.mark.parametrize("option", ["timeouts", "floors"])
def test_times_without_operations_are_refused(option: str) -> None:
    times: Any = {option: 0.5}
    with pytest.raises(ConfigError, match=rf"{option} must be seconds by operation, .* not 0\.5"):
        LocalTransport(EchoService(), **times)


TAKERS: Sequence[Callable[[Any], object]] = [
    lambda one: Client("http://127.0.0.1:1", middleware=one),
    lambda one: local(EchoService(), middleware=one),
    lambda one: selector(one, prefixes=["/"]),
    lambda one: Matcher().add("/*", one),
]


@pytest.mark.parametrize("make", TAKERS)
def test_one_middleware_in_place_of_a_list_is_refused(make: Callable[[Any], object]) -> None:
    with pytest.raises(ConfigError, match="must be a list, not <function outermost"):
        make(outermost)
