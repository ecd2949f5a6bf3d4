"""The texts that point a client somewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.client.target import FORMS, Target
from kratos.errors import TargetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("discovery:///helloworld", Target(text="", service="helloworld")),
        ("DISCOVERY:///group/name", Target(text="", service="group/name")),
        ("direct:///a:1,b:2,a:1", Target(text="", addresses=("a:1", "b:2"))),
        ("direct:///[::1]:9000", Target(text="", addresses=("[::1]:9000",))),
        ("127.0.0.1:8000", Target(text="", addresses=("127.0.0.1:8000",))),
        ("my_service:8000", Target(text="", addresses=("my_service:8000",))),
        ("[fe80::1%eth0]:80", Target(text="", addresses=("[fe80::1%eth0]:80",))),
        (
            "http://127.0.0.1:8000/",
            Target(text="", addresses=("127.0.0.1:8000",), scheme="http", secure=False),
        ),
        ("http://a", Target(text="", addresses=("a:80",), scheme="http", secure=False)),
        ("https://a", Target(text="", addresses=("a:443",), scheme="http", secure=True)),
        ("http://[::1]", Target(text="", addresses=("[::1]:80",), scheme="http", secure=False)),
        ("grpc://a:9000", Target(text="", addresses=("a:9000",), scheme="grpc", secure=False)),
        ("grpcs://a:9000", Target(text="", addresses=("a:9000",), scheme="grpc", secure=True)),
        ("unix:/run/a.sock", Target(text="", addresses=("unix:/run/a.sock",))),
        ("unix:///run/a.sock", Target(text="", addresses=("unix:/run/a.sock",))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_target_is_understood(text: str, expected: Target) -> None:
    parsed = Target.parse(text)
    assert parsed.text == text
    assert (parsed.service, parsed.addresses, parsed.scheme, parsed.secure) == (
        expected.service,
        expected.addresses,
        expected.scheme,
        expected.secure,
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no port"),
        ("localhost", "'localhost' has no port"),
        (":8000", "':8000' has no host"),
        ("a:b:c", "'a:b' is no host; IPv6 addresses stand in brackets"),
        ("::1:80", "'::1' is no host; IPv6 addresses stand in brackets"),
        ("a:0", "'0' is no port from 1 to 65535"),
        ("a:65536", "'65536' is no port from 1 to 65535"),
        ("a:" + "9" * 5000, "is no port from 1 to 65535"),
        ("a:http", "'http' is no port"),
        ("a b:80", "'a b' is no host"),
        ("user@host:80", "'user@host' is no host"),
        ("discovery://helloworld", "a name to look up comes after three slashes"),
        ("discovery:///", "the name of the service is missing"),
        ("discovery:///a b", "the name of the service is missing or holds blanks"),
        ("discovery:///a?x=1", "the name of the service is missing or holds blanks, ? or #"),
        ("direct://a:1", "a list of addresses comes after three slashes"),
        ("direct:///", "'' has no port"),
        ("direct:///a:1,", "'' has no port"),
        ("http://a:80/base", "a path or query cannot be part of a target"),
        ("http://a:80?x=1", "a path or query cannot be part of a target"),
        ("http://", "'' has no port"),
        ("grpc://a", "'a' has no port"),
        ("consul://a:1", "the scheme 'consul' is not known"),
        ("unix:run/a.sock", "a Unix socket needs an absolute path"),
        ("unix://run/a.sock", "a Unix socket needs an absolute path"),
    ],
)
def test_malformed_target_is_refused_with_the_accepted_forms(text: str, why: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.parse(text)
    message = str(caught.value)
    assert repr(text) in message
    assert why in message
    assert all(form in message for form in FORMS)


@given(st.text() | st.text(alphabet="dirce:/tunxhp,019[]. "))
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    try:
        parsed = Target.parse(text)
    except TargetError:
        return
    assert parsed.service or parsed.addresses
