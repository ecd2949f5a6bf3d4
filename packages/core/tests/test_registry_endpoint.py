"""The tables of addresses and hosts are those of Go: internal/host, internal/endpoint."""

from __future__ import annotations

import socket
import sys

import pytest

from kratos.registry import _interfaces
from kratos.registry.endpoint import (
    Interface,
    advertised_address,
    endpoint_scheme,
    find_endpoint,
    is_reachable,
    local_interfaces,
    make_endpoint,
    reachable_host,
)

LOOPBACK = Interface(index=1, up=True, addresses=("127.0.0.1", "::1"))
ETHERNET = Interface(
    index=2, up=True, addresses=("fe80::1", "10.1.0.7", "10.1.0.8", "fd00::7", "fd00::8")
)
SECOND = Interface(index=5, up=True, addresses=("192.168.1.1",))
ONLY_SIX = Interface(index=3, up=True, addresses=("fd00::7", "fd00::8", "fe80::1"))


@pytest.mark.parametrize(
    ("scheme", "secure", "expected"),
    [("http", False, "http"), ("http", True, "https"), ("grpc", True, "grpcs"), ("", False, "")],
)
def test_tls_adds_an_s_to_the_scheme(scheme: str, secure: bool, expected: str) -> None:
    assert endpoint_scheme(scheme, secure=secure) == expected


@pytest.mark.parametrize(
    ("address", "secure", "expected"),
    [
        ("127.0.0.1:80", False, "http://127.0.0.1:80"),
        ("127.0.0.1:443", True, "https://127.0.0.1:443"),
        ("[::1]:80", False, "http://[::1]:80"),
    ],
)
def test_endpoint_is_scheme_and_address(address: str, secure: bool, expected: str) -> None:
    assert make_endpoint("http", address, secure=secure) == expected


@pytest.mark.parametrize(
    ("endpoints", "scheme", "secure", "expected"),
    [
        (["https://github.com/go-kratos/kratos"], "http", True, "github.com:443"),
        (["https://go-kratos.dev/"], "http", False, None),
        (["http://go-kratos.dev/"], "http", False, "go-kratos.dev:80"),
        (["http://a:1", "grpc://b:2"], "grpc", False, "b:2"),
        (["grpc://a:1", "grpc://b:2"], "grpc", False, "a:1"),
        (["grpc://a:1?isSecure=true", "grpcs://b:2"], "grpc", True, "b:2"),
        (["grpc://a:1?isSecure=false"], "grpc", False, "a:1"),
        (["GRPC://[::1]:2#x"], "grpc", False, "[::1]:2"),
        (["http://user:pw@a:1/path"], "http", False, "a:1"),
        (["tcp://a:1", "ws://b:2"], "http", False, None),
        (["grpc://a", "grpc://b:2"], "grpc", False, "b:2"),
        ([], "http", False, None),
    ],
)
def test_first_endpoint_of_the_scheme_is_found(
    endpoints: list[str], scheme: str, secure: bool, expected: str | None
) -> None:
    assert find_endpoint(endpoints, scheme, secure=secure) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "a:1",
        "http://",
        "http://:80",
        "http://a b:1",
        "http://a:port",
        "http://::1",
        "http://a:0",
        "http://a:65536",
    ],
)
def test_what_is_no_endpoint_is_passed_over(wrong: str) -> None:
    assert find_endpoint([wrong, "http://good:1"], "http") == "good:1"
    assert find_endpoint([wrong], "http") is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("10.1.0.1", True),
        ("172.16.0.1", True),
        ("192.168.1.1", True),
        ("8.8.8.8", True),
        ("1.1.1.1", True),
        ("9.255.255.255", True),
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", True),
        ("172.15.255.255", True),
        ("172.16.0.0", True),
        ("172.16.255.255", True),
        ("172.23.18.255", True),
        ("172.31.255.255", True),
        ("172.31.0.0", True),
        ("172.32.0.0", True),
        ("192.167.255.255", True),
        ("192.168.0.0", True),
        ("192.168.255.255", True),
        ("192.169.0.0", True),
        ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("fc00::", True),
        ("fcff:1200:0:44::", True),
        ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("fe00::", True),
        ("fe80::1", False),
        ("::1", False),
        ("::", False),
        ("ff02::1", False),
        ("224.0.0.1", False),
        ("169.254.1.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("", False),
    ],
)
def test_global_unicast_addresses_are_reachable(host: str, expected: bool) -> None:
    assert is_reachable(host) is expected


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        ([LOOPBACK], None),
        ([], None),
        ([LOOPBACK, ETHERNET, SECOND], "10.1.0.7"),
        ([SECOND, ETHERNET], "10.1.0.7"),
        ([ONLY_SIX, SECOND], "fd00::8"),
        ([Interface(index=1, up=False, addresses=("10.0.0.1",)), SECOND], "192.168.1.1"),
    ],
    ids=["loopback", "none", "lowest", "unsorted", "IPv6", "down"],
)
def test_host_is_the_first_ipv4_of_the_lowest_interface_that_is_up(
    interfaces: list[Interface], expected: str | None
) -> None:
    assert reachable_host(interfaces) == expected


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "localhost", "example.org"]
)
def test_host_that_was_given_is_published(host: str) -> None:
    assert advertised_address(host, 80, interfaces=[ETHERNET]) == f"{host}:80"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]", "::"])
def test_server_that_listens_everywhere_publishes_the_machine(host: str) -> None:
    assert advertised_address(host, 80, interfaces=[LOOPBACK, ETHERNET]) == "10.1.0.7:80"


def test_ipv6_address_is_published_in_brackets() -> None:
    assert advertised_address("", 80, interfaces=[ONLY_SIX]) == "[fd00::8]:80"
    assert advertised_address("[::1]", 80) == "[::1]:80"


def test_machine_without_network_publishes_loopback_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert advertised_address("", 80, interfaces=[LOOPBACK]) == "127.0.0.1:80"
    assert "no network interface can be reached" in caplog.text


def test_interfaces_of_this_machine_have_addresses_it_can_bind() -> None:
    for interface in local_interfaces():
        for host in interface.addresses:
            if is_reachable(host) and interface.up and ":" not in host:
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                    probe.bind((host, 0))


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_interfaces_from_the_kernel_are_those_the_system_names() -> None:
    known = {index for index, _ in socket.if_nameindex()}

    assert {interface.index for interface in local_interfaces()} == known


def test_routing_table_is_asked_where_the_kernel_does_not_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_interfaces, "_GET_LINK", 9999)

    (interface,) = local_interfaces()

    assert interface.up


def test_link_messages_tell_what_is_up() -> None:
    up = _interfaces.LINK.pack(0, 1, 2, 0x1043, 0)
    down = _interfaces.LINK.pack(0, 1, 3, 0x1002, 0)

    assert _interfaces.parse_links(iter([up, down])) == {2: True, 3: False}


def test_address_messages_prefer_the_local_end_of_a_link() -> None:
    def attribute(kind: int, value: bytes) -> bytes:
        return _interfaces.ATTRIBUTE.pack(4 + len(value), kind) + value

    ours, peer = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")
    six = socket.inet_pton(socket.AF_INET6, "fd00::1")
    head = _interfaces.ADDRESS.pack(2, 24, 0, 0, 7)
    bodies = [
        head + attribute(3, b"eth0\0\0\0\0") + attribute(1, peer) + attribute(2, ours),
        head + attribute(1, six),
        head + attribute(1, b"odd"),
        head + b"\x00\x00\x00\x00",
    ]

    assert _interfaces.parse_addresses(iter(bodies)) == {7: ["10.0.0.1", "fd00::1"]}
