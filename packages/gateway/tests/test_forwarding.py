"""What back ends are told of clients."""

from __future__ import annotations

import pytest

from kratos.errors import ConfigError
from kratos.transport.http import Head
from kratos_gateway.proxy import Forwarding


def told(
    forwarding: Forwarding, *headers: tuple[bytes, bytes], peer: str = "10.1.2.3:5000"
) -> dict[bytes, bytes]:
    head = Head("GET", b"/", b"", [(b"host", b"shop.example"), *headers], peer=peer)
    given = forwarding.headers(head, b"shop.example")
    found = dict(given)
    assert len(found) == len(given)  # nothing twice
    return found


def test_the_address_is_added_and_all_values_become_one() -> None:
    found = told(
        Forwarding(trusted=None), (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2")
    )
    assert found[b"x-forwarded-for"] == b"1.1.1.1, 2.2.2.2, 10.1.2.3"


@pytest.mark.parametrize(
    ("peer", "address"), [("[::1]:80", b"::1"), ("10.0.0.1:1", b"10.0.0.1"), ("unix:", None)]
)
def test_the_address_has_no_port(peer: str, address: bytes | None) -> None:
    assert told(Forwarding(), peer=peer).get(b"x-forwarded-for") == address


def test_host_and_scheme_are_told_unless_a_proxy_before_has_told_them() -> None:
    found = told(Forwarding())
    assert found[b"x-forwarded-host"] == b"shop.example"
    assert found[b"x-forwarded-proto"] == b"http"
    found = told(
        Forwarding(trusted=None), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"a")
    )
    assert (found[b"x-forwarded-proto"], found[b"x-forwarded-host"]) == (b"https", b"a")


FORGED = (
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"admin"),
    (b"x-real-ip", b"127.0.0.1"),
    (b"forwarded", b"for=127.0.0.1"),
    (b"x-forwarded-prefix", b"/admin"),
    (b"x-forwarded-user", b"root"),
    (b"x-original-url", b"/admin"),
    (b"x-rewrite-url", b"/admin"),
    (b"true-client-ip", b"127.0.0.1"),
)


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",), None])
@pytest.mark.parametrize(
    "name",
    [
        b"x_forwarded_for",
        b"x-forwarded_for",
        b"x_forwarded-proto",
        b"x_real_ip",
        b"x_forwarded_prefix",
        b"x-original_url",
        b"content_length",
        b"transfer_encoding",
        b"proxy",
    ],
)
def test_what_programs_would_take_for_something_else_is_dropped(
    trusted: tuple[str, ...] | None, name: bytes
) -> None:
    forwarding = Forwarding(trusted=trusted)
    assert told(forwarding, (name, b"127.0.0.1"), (b"x_own", b"1")) == told(
        forwarding, (b"x_own", b"1")
    )


@pytest.mark.parametrize("trusted", [(), ("192.168.0.0/16",)])
def test_what_a_stranger_says_about_himself_is_dropped(trusted: tuple[str, ...]) -> None:
    assert told(Forwarding(trusted=trusted), *FORGED) == told(Forwarding(), *FORGED)
    assert told(Forwarding(trusted=trusted), *FORGED) == {
        b"x-forwarded-for": b"10.1.2.3",
        b"x-forwarded-host": b"shop.example",
        b"x-forwarded-proto": b"http",
    }


def test_what_a_trusted_proxy_says_is_kept() -> None:
    found = told(Forwarding(trusted=["10.0.0.0/8", "::1/128"]), *FORGED)
    assert found[b"x-forwarded-for"] == b"127.0.0.1, 10.1.2.3"
    assert found[b"x-real-ip"] == b"127.0.0.1"
    assert (found[b"x-forwarded-user"], found[b"x-original-url"]) == (b"root", b"/admin")
    assert told(Forwarding(trusted=[]), *FORGED, peer="unix:")[b"forwarded"] == b"for=127.0.0.1"


def test_a_client_cannot_have_the_gateways_own_headers_dropped() -> None:
    connection = (b"connection", b"X-Forwarded-For, Host, Content-Length")
    found = told(Forwarding(), connection, (b"content-length", b"3"))
    assert found[b"x-forwarded-for"] == b"10.1.2.3"
    assert found[b"content-length"] == b"3"


def test_a_request_without_a_host_is_looked_through_as_well() -> None:
    head = Head("GET", b"/", b"", [(b"connection", b"x-secret"), (b"x-secret", b"1")], peer="unix:")
    assert Forwarding().headers(head, b"") == [(b"x-forwarded-proto", b"http")]


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'10\.0\.0' is no network"):
        Forwarding(trusted=["10.0.0"])
