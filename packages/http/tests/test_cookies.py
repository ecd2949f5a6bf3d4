"""Cookies: what is read, and what may be sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, json_reply
from kratos_http.cookies import Cookie, parse_cookies, set_cookie
from kratos_http.testing import OpenPeer


def test_cookie_is_out_of_reach_of_scripts_and_of_other_sites_by_default() -> None:
    header = Cookie(name="__Host-a", value="1", max_age=60).header()
    assert header == "__Host-a=1; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "a", "value": "1; Domain=evil.example"},
        {"name": "a", "value": "1\r\nSet-Cookie: b=2"},
        {"name": "a", "value": "ü"},
        {"name": "a", "value": "1\n"},
        {"name": "a", "path": "/;x"},
        {"name": "a", "domain": "a\r\nb"},
        {"name": "a", "same_site": "Sometimes"},
        {"name": "a", "same_site": "None", "secure": False},
        {"name": "__Host-a", "secure": False},
        {"name": "__Secure-a", "secure": False},
        {"name": "__Host-a", "domain": "example.com"},
        {"name": "__Host-a", "path": "/app"},
    ],
)
def test_what_a_browser_would_misread_or_drop_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Cookie(**wrong)


def test_refusal_does_not_quote_the_value() -> None:
    with pytest.raises(ConfigError) as raised:
        Cookie(name="a", value="the secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], {}),
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "1"}),
        (['a="1"; b='], {"a": "1", "b": ""}),
        (["a = 1"], {}),
        (["a= 1 "], {"a": "1"}),
        (["novalue; =x; a=1=2;; b\x00=1; c=\u00fc"], {"a": "1=2"}),
    ],
)
def test_cookies_are_read_and_what_is_malformed_is_left_out(
    headers: list[str], found: dict[str, str]
) -> None:
    assert parse_cookies(headers) == found


def test_only_so_many_cookies_are_read() -> None:
    assert len(parse_cookies(["; ".join(f"a{n}=1" for n in range(1000))] * 2)) == 256


@given(st.lists(st.text()))
def test_no_header_is_too_odd_to_be_read(headers: list[str]) -> None:
    parse_cookies(headers)


NAMES = st.text("abcXYZ019-_", min_size=1)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='",;\\'))


@given(st.dictionaries(NAMES, VALUES))
def test_cookie_that_may_be_sent_is_read_as_it_was(cookies: dict[str, str]) -> None:
    sent = "; ".join(
        Cookie(name=name, value=value).header().partition(";")[0] for name, value in cookies.items()
    )
    assert parse_cookies([sent]) == cookies


async def test_handler_reads_cookies_and_sends_some_beside_those_of_its_reply(
    open_peer: OpenPeer,
) -> None:
    server = HttpServer("127.0.0.1:0")

    @server.route("GET", "/")
    async def handler(request: Request) -> Reply:
        set_cookie(request.call, Cookie(name="a", value="1"))
        set_cookie(request.call, Cookie(name="b", value="2"))
        reply = json_reply(request.cookies)
        reply.headers = (*reply.headers, (b"set-cookie", b"c=3"))
        return reply

    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        answer = await peer.request("GET", "/", headers=[("Cookie", "x=1; y=2")])
    assert answer.json() == {"x": "1", "y": "2"}
    assert [value[:3] for value in answer.values("set-cookie")] == ["c=3", "a=1", "b=2"]
