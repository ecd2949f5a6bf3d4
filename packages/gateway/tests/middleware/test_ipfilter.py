"""Addresses that are let in, and others."""

from __future__ import annotations

import pytest

from kratos.errors import ConfigError
from kratos_gateway.api.ipfilter_pb2 import IpFilter
from kratos_gateway.middleware.testing import Backend, behind, request_to

INNER = IpFilter(allow=["10.0.0.0/8", "2001:db8::/32"], deny=["10.6.6.6"])
BEHIND = IpFilter(deny=["203.0.113.9"], trusted_proxies=["10.0.0.0/8"])


async def status(options: IpFilter, peer: str, *forwarded: str) -> int:
    headers = [("x-forwarded-for", value) for value in forwarded]
    request = request_to(peer=peer, headers=headers)
    return (await behind(Backend(), "ipfilter", options)(request)).status


@pytest.mark.parametrize(
    ("peer", "answered"),
    [
        ("10.1.2.3:400", 200),
        ("10.1.2.3", 200),
        ("[2001:db8::1]:400", 200),
        ("[::ffff:10.1.2.3]:400", 200),
        ("10.6.6.6:400", 403),
        ("[::ffff:10.6.6.6]:400", 403),
        ("192.0.2.1:400", 403),
        ("[2001:db9::1]:400", 403),
        ("", 403),
        ("/run/gateway.sock", 403),
    ],
)
async def test_address_of_the_peer_decides(peer: str, answered: int) -> None:
    assert await status(INNER, peer) == answered


@pytest.mark.parametrize("written", ["::ffff:10.6.6.6", "::ffff:10.6.0.0/112", "::ffff:0:0/96"])
@pytest.mark.parametrize("peer", ["10.6.6.6:400", "[::ffff:10.6.6.6]:400"])
async def test_address_of_ipv4_is_denied_however_it_is_written(written: str, peer: str) -> None:
    assert await status(IpFilter(deny=[written]), peer) == 403
    assert await status(IpFilter(deny=[written]), "[2001:db8::1]:400") == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "answered"),
    [
        # A proxy that is trusted tells whom it stands for.
        ("10.0.0.1:1", ["203.0.113.9"], 403),
        ("10.0.0.1:1", ["203.0.113.8"], 200),
        # Each further one as well; the gateway itself may have added the peer.
        ("10.0.0.1:1", ["203.0.113.9, 10.0.0.2, 10.0.0.1"], 403),
        ("10.0.0.1:1", ["203.0.113.9", "10.0.0.2"], 403),
        # What stands before the first who is not trusted, anybody may have written.
        ("10.0.0.1:1", ["203.0.113.9, 198.51.100.7"], 200),
        ("10.0.0.1:1", ["198.51.100.7, 203.0.113.9"], 403),
        ("198.51.100.7:1", ["203.0.113.9"], 200),
        # Ports, brackets, and what is no address.
        ("10.0.0.1:1", ["203.0.113.9:4711"], 403),
        ("10.0.0.1:1", ["unknown"], 200),
        ("10.0.0.1:1", ["x" * 10_000], 200),
        ("10.0.0.1:1", [], 200),
    ],
)
async def test_proxies_that_are_trusted_tell_whom_they_stand_for(
    peer: str, forwarded: list[str], answered: int
) -> None:
    assert await status(BEHIND, peer, *forwarded) == answered


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (IpFilter(), "to allow or to deny"),
        (IpFilter(allow=["10.0.0.0/33"]), "allow: .*10.0.0.0/33"),
        (IpFilter(deny=["a.example"]), "deny: .*a.example"),
        (IpFilter(allow=["::1"], trusted_proxies=["proxy"]), "trustedProxies: "),
    ],
)
def test_what_is_no_address_is_refused(options: IpFilter, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "ipfilter", options)
