"""The table of addresses is that of Go: internal/host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.address import Address, endpoints_of, join_host_port, split_host_port
from kratos.errors import ConfigError, TargetError


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("", 0)),
        ("[::]:65535", ("::", 65535)),
        ("localhost:080", ("localhost", 80)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_address_is_split(address: str, expected: tuple[str, int]) -> None:
    assert split_host_port(address) == expected


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("abc", "address abc: missing port in address"),
        ("[::1]", "missing port in address"),
        ("consul://2/33", "number from 0 to 65535"),
        ("::1:80", r"must be written \[address\]:port"),
        ("a:b", "number from 0 to 65535"),
        ("a:65536", "number from 0 to 65535"),
        ("a:", "number from 0 to 65535"),
        ("a:-1", "number from 0 to 65535"),
        ("a:\u0663", "number from 0 to 65535"),
        ("[a:1", "no host|must be written"),
        ("[a]:1", "only an IPv6 address stands in brackets"),
        ("a/b:1", "no host"),
    ],
)
def test_malformed_address_is_refused_with_the_reason(address: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        split_host_port(address)


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "example"])
def test_joined_address_splits_to_the_same(host: str) -> None:
    assert split_host_port(join_host_port(host, 80)) == (host, 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8000", Address(port=8000)),
        ("localhost:0", Address(host="localhost")),
        ("[::1]:80", Address(host="::1", port=80)),
        ("unix:/run/a.sock", Address(path="/run/a.sock")),
        ("unix:///run/a.sock", Address(path="/run/a.sock")),
        ("unix:a.sock", Address(path="a.sock")),
    ],
)
def test_listening_address_is_understood(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "8000", "host", "host:x", ":65536", "a b:1", "::1:80", "[host]:1", "unix:", "unix:\0"],
)
def test_text_that_is_no_listening_address_is_refused_with_examples(text: str) -> None:
    with pytest.raises(TargetError, match=r"write :8000, 127\.0\.0\.1:8000"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [(8000, "must be text, not 8000"), ("http://127.0.0.1:8000", "is a URL"), (None, "not None")],
)
def test_what_is_often_passed_for_an_address_is_named(address: Any, complaint: str) -> None:
    with pytest.raises(TargetError, match=rf"{complaint}; write :8000"):
        Address.parse(address)


@given(st.text() | st.text(alphabet="unix:/[]0123.a "))
def test_written_listening_address_reads_as_the_same(text: str) -> None:
    try:
        address = Address.parse(text)
    except TargetError:
        return
    assert Address.parse(str(address)) == address


def test_endpoints_have_a_port_and_are_each_there_once() -> None:
    given = ["a", "a:1", "[::1]", "[::1]:2", "a:7"]
    assert endpoints_of(given, port=7) == ("a:7", "a:1", "[::1]:7", "[::1]:2")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], r"hosts=\[\] must be a list of host:port"),
        ("a:1", "hosts='a:1' must be a list"),
        (b"a:1", "hosts=b'a:1' must be a list"),
        (None, "hosts=None must be a list"),
        (["a:1", " "], "hosts: ' ' has no host; write host:port, without a scheme"),
        ([":1"], "hosts: ':1' has no host"),
        (["http://a:1"], "hosts: address http://a:1: .*, without a scheme"),
        (["a:1/path"], "from 0 to 65535"),
        (["a,b"], "hosts: 'a,b' are several; list each by itself"),
        (["::1"], "an IPv6 address must be written"),
        ([8000], "hosts: 8000 is no text"),
    ],
)
def test_endpoints_that_are_none_are_refused(given: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        endpoints_of(given, port=7, option="hosts")
