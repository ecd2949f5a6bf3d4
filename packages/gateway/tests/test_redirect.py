"""What the gateway answers by itself: redirects that lead where they were meant to, and texts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos_gateway.api.gateway_pb2 import Redirect
from kratos_gateway.proxy import Forwarding
from kratos_gateway.proxy.location import Location, query_of
from kratos_gateway.routing import clean
from kratos_gateway.testing import backend, proxied, say


def location(pattern: str = "/old/*", **told: Any) -> Location:
    return Location(ParseDict(told, Redirect()), pattern)


def led(came: str, pattern: str = "/old/*", /, *, query: str = "", **told: Any) -> str:
    return location(pattern, **told).of(scheme="http", host="a.test:80", path=came, query=query)


@pytest.mark.parametrize(
    ("told", "path", "place"),
    [
        ({"path": "/new"}, "/old/x", "/new"),
        ({"path": "/ü b%2f%"}, "/old/x", "/%C3%BC%20b/%25"),
        ({"https": True}, "/old/x", "https://a.test/old/x"),
        ({"https": True, "host": "b.test:8443"}, "/old/x", "https://b.test:8443/old/x"),
        ({"host": "b.test"}, "/old/x", "http://b.test/old/x"),
        ({"host": "[::1]:80", "path": "/"}, "/old/x", "http://[::1]:80/"),
        ({"prefix": "/new/"}, "/old/x/y", "/new/x/y"),
        ({"prefix": "/new"}, "/old/x", "/new/x"),
        ({"prefix": "/new"}, "/old/", "/new/"),
        ({"prefix": "/"}, "/old/x", "/x"),
        ({"prefix": "/new/"}, "/old/%C3%BC%20", "/new/%C3%BC%20"),
    ],
)
def test_a_redirect_leads_where_it_says(told: dict[str, Any], path: str, place: str) -> None:
    assert led(path, query="q=1&r=%20", **told) == f"{place}?q=1&r=%20"
    assert led(path, query="q=1", stripQuery=True, **told) == place


def test_a_prefix_is_what_the_pattern_takes_of_the_path() -> None:
    assert led("/t/7/x", "/t/{id}*", prefix="/n") == "/n/x"
    assert led("/old", "/old*", prefix="/new/") == "/new/"
    assert led("/older", "/old*", prefix="/new") == "/newer"
    assert led("/else", "/old*", prefix="/new") == "/else"  # middleware has changed it


@pytest.mark.parametrize("path", ["/old//evil.test", "/old/%2fevil.test", "/old/%5cevil.test"])
@pytest.mark.parametrize("prefix", ["/", "//", "/x/../"])
def test_what_is_left_of_a_path_never_becomes_a_host(path: str, prefix: str) -> None:
    place = led(path, prefix=prefix)
    assert place in ("/evil.test", "/%5Cevil.test")
    assert urlsplit(urljoin("http://a.test/old/", place)).netloc == "a.test"


HOSTILE = st.text(alphabet=st.sampled_from('/\\.:@?#%2fF5cC0dDaA \r\n\t\0"<xü'), max_size=20)


@given(HOSTILE, HOSTILE, st.sampled_from(["/old/*", "/old*", "/*", "*", "/{x}/*", "/{x:.*}*"]))
def test_no_request_leads_to_another_host_or_out_of_its_header(
    text: str, query: str, pattern: str
) -> None:
    try:
        path = clean(f"/old/{text}".encode()).wire
    except Error:
        return  # such a path gets to no endpoint
    for told in ({"prefix": "/"}, {"prefix": "/new/"}, {"stripQuery": True}, {"https": True}):
        place = led(path, pattern, query=query, **told)
        assert place.isascii()
        assert place.isprintable()
        assert " " not in place
        seen = urlsplit(urljoin("http://a.test/", place))
        assert seen.netloc == "a.test"
        assert "\\" not in place
        assert not urlsplit(place).path.startswith("//")


@pytest.mark.parametrize("host", ["", "a.test/x", "a@b", "a.test\\x", "a b", "a.test:x", "é"])
def test_a_host_that_is_none_is_not_led_back_to(host: str) -> None:
    with pytest.raises(Error) as refused:
        location(https=True).of(scheme="http", host=host, path="/old/x", query="")
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({}, "leads to where it comes from"),
        ({"host": "http://b"}, "'http://b' is no host"),
        ({"host": "b/c"}, "'b/c' is no host"),
        ({"host": "b\r\n"}, "is no host"),
        ({"path": "new"}, "path must begin with a slash"),
        ({"prefix": "https://b"}, "prefix must begin with a slash"),
    ],
)
def test_a_redirect_that_is_none_is_refused(told: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        location(**told)


def test_a_path_of_the_configuration_cannot_lead_to_a_host_by_itself() -> None:
    assert led("/old/x", path="//evil.test/") == "/evil.test/"
    assert led("/old/x", path="/\\evil.test\r\n") == "/%5Cevil.test%0D%0A"


def test_a_prefix_needs_a_star() -> None:
    with pytest.raises(ConfigError, match="no star at its end, so there is no prefix: write path"):
        location("/old", prefix="/new")


@given(st.binary(max_size=20))
def test_a_query_cannot_end_a_header(query: bytes) -> None:
    text = query_of(query)
    assert text.isascii()
    assert text.isprintable() or not text
    assert not set(' \r\n"#\\') & set(text)


def itself(path: str, **more: Any) -> dict[str, Any]:
    """Return an endpoint without back ends."""
    return {"path": path, "protocol": "HTTP", **more}


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_clients_are_redirected(version: str, status: int) -> None:
    told = {"status": status, "https": True, "prefix": "/new/"}
    async with proxied(itself("/old/*", redirect=told)) as gateway:
        peer = await (gateway.connect() if version == "1.1" else gateway.connect_http2())
        answer = await peer.request("POST", "/old//x%0d?q=1", body=b"body")
        assert (answer.status, answer.body) == (status, b"")
        assert answer.header("location") == "https://test/new/x%0D?q=1"


@pytest.mark.parametrize(("trusted", "scheme"), [([], "http"), (["127.0.0.1"], "https")])
async def test_a_redirect_keeps_the_scheme_of_the_client_and_is_302(
    trusted: list[str], scheme: str
) -> None:
    endpoint = itself("/*", redirect={"host": "b.test"})
    async with proxied(endpoint, forwarding=Forwarding(trusted)) as gateway:
        peer = await gateway.connect()
        told = [("X-Forwarded-Proto", "https")]
        answer = await peer.request("GET", "/a", headers=told)
        assert (answer.status, answer.header("location")) == (302, f"{scheme}://b.test/a")


async def test_who_comes_without_tls_is_led_to_it_and_others_are_let_in() -> None:
    secure = itself("*", redirect={"https": True, "status": 308}, match=[{"scheme": "http"}])

    async def hello(_head: object, wire: Any) -> None:
        await say(wire, 200, b"in")

    async with backend(hello) as node:
        open_to = {"path": "*", "protocol": "HTTP", "backends": [{"target": node.address}]}
        forwarding = Forwarding(["127.0.0.1"])
        async with proxied(secure, open_to, forwarding=forwarding) as gateway:
            peer = await gateway.connect()
            answer = await peer.request("GET", "/a?b")
            assert (answer.status, answer.header("location")) == (308, "https://test/a?b")
            answer = await peer.request("GET", "/a", headers=[("X-Forwarded-Proto", "https")])
            assert (answer.status, answer.body) == (200, b"in")


async def test_a_slash_at_the_end_is_redirected_with_a_query_that_can_stand_there() -> None:
    async with proxied(itself("/a/b", respond={"status": 204}), strict_slash=True) as gateway:
        peer = await gateway.connect()
        answer = await peer.request("GET", '/a/b/?x="<')
        assert answer.header("location") == "/a/b?x=%22%3C"


async def test_an_answer_that_is_always_the_same() -> None:
    told = {"status": 503, "headers": {"Retry-After": "60"}, "body": "later\n"}
    async with proxied(
        itself("/a", respond=told), itself("/b", respond={"status": 204})
    ) as gateway:
        peer = await gateway.connect()
        for method, body in (("GET", b"later\n"), ("HEAD", b""), ("POST", b"later\n")):
            answer = await peer.request(method, "/a", body=b"x" if method == "POST" else b"")
            assert (answer.status, answer.body) == (503, body)
            assert answer.header("retry-after") == "60"
            assert answer.header("content-type") == "text/plain; charset=utf-8"
            assert answer.header("content-length") == "6"
        assert (await peer.request("GET", "/b")).status == 204


async def test_what_answers_by_itself_is_shown_and_counted() -> None:
    async with proxied(itself("/a", respond={"status": 500})) as gateway:
        await (await gateway.connect()).request("GET", "/a")
        (shown,) = gateway.proxy.show()
        assert (shown["requests"], shown["failures"], shown["nodes"]) == (1, 1, ())
        assert gateway.proxy.watched("shop") is None
        assert gateway.proxy.appliers("shop") is None
        await gateway.proxy.ready()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"redirect": {"https": True, "status": 200}}, "redirect: status is one of 301, 302, 303"),
        ({"redirect": {}}, "redirect: it leads to where it comes from"),
        ({"redirect": {"https": True}, "protocol": "GRPC"}, "calls of gRPC are not redirected"),
        ({"redirect": {"https": True}, "respond": {"status": 200}}, "both there: leave one"),
        (
            {"respond": {"status": 200}, "backends": [{"target": "a:80"}]},
            "respond answers in place of back ends",
        ),
        ({"respond": {}}, "respond: status is from 200 to 599, not 0"),
        ({"respond": {"status": 204, "body": "x"}}, "an answer with the status 204 has no body"),
        ({"respond": {"status": 200, "headers": {"a b": ""}}}, "'a b' is no name of a header"),
        ({"respond": {"status": 200, "headers": {"a": "\r\n"}}}, "line break"),
        (
            {"respond": {"status": 200, "headers": {"Content-Length": "1"}}},
            "content-length is written by the gateway itself",
        ),
    ],
)
async def test_what_cannot_be_answered_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"endpoints\[0\] \(/a\): .*{complaint}"):
        async with proxied(itself("/a", **fields)):
            raise AssertionError("it was taken")
