"""What spans tell of calls, by the names that Go Kratos gives it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kratos.metadata import Metadata, server_context
from kratos.testing.echo import ECHO, text
from kratos.tracing import (
    attributes,
    end_attributes,
    method_attributes,
    peer_attributes,
    target_of,
)
from kratos.transport import Call, HttpRule, Side


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("/foo.bar/hello", {"rpc.service": "foo.bar", "rpc.method": "hello"}),
        ("/foo.bar/hello/world", {"rpc.service": "foo.bar", "rpc.method": "hello/world"}),
        ("/hello", {"rpc.operation": "/hello"}),
        ("//hello/", {"rpc.service": "hello"}),
    ],
)
def test_operation_is_split_at_its_first_slash(operation: str, told: dict[str, str]) -> None:
    method = replace(ECHO, operation=operation, http=())
    assert method_attributes(method, "grpc") == {"rpc.system": "grpc", **told}


def test_http_tells_verb_and_template_too() -> None:
    assert method_attributes(ECHO, "http") == {
        "rpc.system": "http",
        "rpc.service": "kratos.testing.Echo",
        "rpc.method": "Echo",
        "http.method": "POST",
        "http.route": "/kratos.testing/echo",
    }
    assert "http.method" not in method_attributes(ECHO, "grpc")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("10.0.0.1:8080", ("10.0.0.1", "8080")),
        ("[::1]:80", ("::1", "80")),
        (":8080", ("127.0.0.1", "8080")),
        ("shop.example:9000", ("shop.example", "9000")),
        ("10.0.0.1", None),
        ("::1", None),
        ("10.0.0.1:", None),
        ("10.0.0.1:http", None),
        ("10.0.0.1:\u0668", None),
        ("unix:/run/shop.sock", None),
        ("a:1,b:2", None),
        ("", None),
    ],
)
def test_peer_is_told_by_host_and_port(address: str, told: tuple[str, str] | None) -> None:
    expected = {} if told is None else {"net.peer.ip": told[0], "net.peer.port": told[1]}
    assert peer_attributes(address) == expected


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("http://foo.bar:8080", "http://foo.bar:8080"),
        ("foo.bar:8080", "foo.bar:8080"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("grpc://foo.bar", "grpc://foo.bar"),
        ("/foo", "foo"),
        ("http://127.0.0.1/hello", "hello"),
        ("discovery:///shop", "shop"),
        ("http://127.0.0.1/hello?a=1", "hello"),
        ("", ""),
        ("%%", ""),
        ("//%2F/#%2Fanother", ""),
    ],
)
def test_target_is_the_path_of_an_endpoint_or_the_endpoint(endpoint: str, target: str) -> None:
    assert target_of(endpoint) == target


def test_server_tells_peer_path_and_size_of_what_it_got_and_gave() -> None:
    call = Call(ECHO, side=Side.SERVER, transport="http", peer="10.0.0.1:5000")
    call.path = b"/v1/caf%C3%A9"
    assert attributes(call, text("abc")) == {
        "net.peer.ip": "10.0.0.1",
        "net.peer.port": "5000",
        "http.target": "/v1/caf%C3%A9",
        "recv_msg.size": text("abc").ByteSize(),
    }
    assert end_attributes(call, text("abcd"), None) == {"send_msg.size": text("abcd").ByteSize()}
    assert end_attributes(call, None, 409) == {"rpc.status_code": 409}


def test_binding_that_was_used_goes_before_the_main_one() -> None:
    call = Call(ECHO, side=Side.SERVER, transport="http")
    call.rule = HttpRule(verb="GET", path="/old/{value}")
    told = attributes(call, object())
    assert (told["http.method"], told["http.route"]) == ("GET", "/old/{value}")


def test_client_tells_the_node_that_it_reached_or_else_what_it_was_pointed_at() -> None:
    call = Call(ECHO, side=Side.CLIENT, transport="grpc", endpoint="grpc://10.0.0.1:9000")
    assert attributes(call, text("abc")) == {"send_msg.size": text("abc").ByteSize()}
    told = end_attributes(call, text("a"), None)
    assert told == {
        "net.peer.ip": "10.0.0.1",
        "net.peer.port": "9000",
        "recv_msg.size": text("a").ByteSize(),
    }
    call.peer = "10.0.0.2:9001"
    assert end_attributes(call, None, 503) == {
        "net.peer.ip": "10.0.0.2",
        "net.peer.port": "9001",
        "rpc.status_code": 503,
    }


@pytest.mark.parametrize("name", ["shop", ""])
def test_server_tells_who_calls_where_there_is_metadata(name: str) -> None:
    call = Call(ECHO, side=Side.SERVER, transport="grpc")
    assert "peer.service" not in attributes(call, None)
    with server_context(Metadata({"x-md-service-name": [name]})):
        assert attributes(call, None)["peer.service"] == name
    with server_context(Metadata()):
        assert attributes(call, None)["peer.service"] == ""
