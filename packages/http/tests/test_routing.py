"""Which route answers a path, and what is said when none does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.transport.http import Endpoint, Head, Reply
from kratos.transport.rule import PathTemplate
from kratos_http import HttpServer
from kratos_http.router import Router
from kratos_http.testing import OpenPeer


class Named:
    """An endpoint that is known by its name, and answers with it."""

    max_body = 1000

    def __init__(self, name: str) -> None:
        self.name = name

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200, (), f"{self.name} {list(head.params)}".encode())


def error_reply(_head: Head, error: Error) -> Reply:
    return Reply(error.code, (), error.message.encode())


def router_of(*routes: str, prefix: str = "") -> Router:
    """Make a router of ``GET /path`` texts."""
    router = Router(error_reply=error_reply, prefix=prefix)
    for text in routes:
        verb, path = text.split(" ")
        router.add(verb, path, Named(text))
    return router


def find(router: Router, method: str, path: str) -> tuple[Endpoint, list[str]]:
    head = Head(method, path.encode(), b"", [])
    return router.route(head), list(head.params)


def name_of(router: Router, method: str, path: str) -> str:
    endpoint, _ = find(router, method, path)
    return endpoint.name if isinstance(endpoint, Named) else ""


def server_of(*routes: str, strict_slash: bool = True) -> HttpServer:
    server = HttpServer("127.0.0.1:0", strict_slash=strict_slash)
    for text in routes:
        verb, path = text.split(" ")
        server.handle(verb, path, Named(text))
    return server


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/a/b", "GET /a/b"),
        ("/a/x", "GET /a/{v}"),
        ("/a/b/c", "GET /a/{v=**}"),
        ("/a/x/y", "GET /a/{v=**}"),
        ("/a", "GET /a/{v=**}"),
        ("/a/b:undo", "GET /a/{v}:undo"),
        ("/a/b:other", "GET /a/{v}"),
        ("/q/b/c", "GET /{v}/b/c"),
        ("/q/q/q", ""),
        ("/", "GET /"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_most_specific_route_wins_in_whatever_order(path: str, wanted: str, order: int) -> None:
    routes = [
        "GET /",
        "GET /a/b",
        "GET /a/{v}",
        "GET /a/{v=**}",
        "GET /a/{v}:undo",
        "GET /{v}/b/c",
    ]
    assert name_of(router_of(*routes[::order]), "GET", path) == wanted


def test_first_of_two_equal_routes_wins() -> None:
    assert name_of(router_of("GET /a/{x}", "GET /a/{y}"), "GET", "/a/b") == "GET /a/{x}"


def test_less_specific_route_with_the_method_is_found() -> None:
    router = router_of("POST /a/b", "GET /a/{x}", "DELETE /{x=**}")
    assert name_of(router, "POST", "/a/b") == "POST /a/b"
    assert name_of(router, "GET", "/a/b") == "GET /a/{x}"
    assert name_of(router, "DELETE", "/a/b") == "DELETE /{x=**}"


def test_own_head_route_wins_over_the_one_of_get() -> None:
    for routes in (("GET /a", "HEAD /a"), ("HEAD /a", "GET /a")):
        assert name_of(router_of(*routes), "HEAD", "/a") == "HEAD /a"
    assert name_of(router_of("GET /a"), "HEAD", "/a") == "GET /a"


def test_variables_come_in_the_order_of_the_template() -> None:
    router = router_of("GET /{b}/x/{a}/{rest=**}")
    assert find(router, "GET", "/1/x/2/3/4")[1] == ["1", "2", "3/4"]


def test_variable_may_cover_literals() -> None:
    router = router_of("GET /v1/{name=shelves/*/books/*}")
    assert find(router, "GET", "/v1/shelves/1/books/2")[1] == ["shelves/1/books/2"]


@pytest.mark.parametrize("path", ["/a/../b", "/a/./b", "/a/%2e%2e/b", "/x/.."])
def test_dot_segments_are_no_values(path: str) -> None:
    router = router_of("GET /a/{x}/b", "GET /x/{x}", "GET /f/{x=**}")
    assert name_of(router, "GET", path) == ""
    assert name_of(router, "GET", "/f" + path) == ""


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/a/", 301, "/a"),
        ("POST", "/a/", 308, "/a"),
        ("GET", "//a", 301, "/a"),
        ("GET", "/x//y/?q=1&r=%20", 301, "/x/y?q=1&r=%20"),
        ("GET", "/x/../a", 301, "/a"),
        ("GET", "/x/%2E%2e/a", 301, "/a"),
        ("GET", "/../../a", 301, "/a"),
        ("GET", "//evil.example/..//a", 301, "/a"),
    ],
)
async def test_unclean_path_is_sent_to_the_clean_one(
    open_peer: OpenPeer, method: str, path: str, status: int, location: str
) -> None:
    async with open_peer(server_of("GET /a", "POST /a", "GET /x/{v}")) as peer:
        answer = await peer.request(method, path)
    assert (answer.status, answer.header("location")) == (status, location)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (r"/\evil.example/", "/%5Cevil.example"),
        ('/a|b"<>^`{}/', "/a%7Cb%22%3C%3E%5E%60%7B%7D"),
        ("/a:b@c%2F;d=e,f!$&'()*+~/", "/a:b@c%2F;d=e,f!$&'()*+~"),
    ],
)
async def test_redirect_holds_nothing_that_browsers_read_otherwise(
    open_peer: OpenPeer, path: str, location: str
) -> None:
    async with open_peer(server_of("GET /{v}")) as peer:
        answer = await peer.request("GET", path)
    assert (answer.status, answer.header("location")) == (301, location)


@pytest.mark.parametrize("path", ["/b/", "//evil.example", "/a//", "/a/b/../../c"])
async def test_unclean_path_that_leads_nowhere_is_not_redirected(
    open_peer: OpenPeer, path: str
) -> None:
    async with open_peer(server_of("GET /a", strict_slash=False)) as peer:
        assert (await peer.request("GET", path)).status == 404


async def test_slash_at_the_end_leads_nowhere_if_so_chosen(open_peer: OpenPeer) -> None:
    async with open_peer(server_of("GET /a", strict_slash=False)) as peer:
        assert (await peer.request("GET", "/a/")).status == 404


async def test_wrong_method_is_told_with_the_right_ones(open_peer: OpenPeer) -> None:
    async with open_peer(server_of("GET /a/b", "PUT /a/{x}", "DELETE /c")) as peer:
        answer = await peer.request("POST", "/a/b")
    assert answer.status == 405
    assert answer.header("allow") == "GET, HEAD, OPTIONS, PUT"
    assert answer.json()["reason"] == "METHOD_NOT_ALLOWED"


async def test_options_tells_the_methods(open_peer: OpenPeer) -> None:
    async with open_peer(server_of("GET /a", "POST /a")) as peer:
        answer = await peer.request("OPTIONS", "/a")
        assert (answer.status, answer.header("allow")) == (204, "GET, HEAD, OPTIONS, POST")
        everywhere = await peer.request("OPTIONS", "*")
        assert (everywhere.status, everywhere.header("allow")) == (204, "GET, OPTIONS, POST")


async def test_head_is_answered_as_get_without_the_body(open_peer: OpenPeer) -> None:
    async with open_peer(server_of("GET /a")) as peer:
        answer = await peer.request("HEAD", "/a")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == str(len(b"GET /a []"))


async def test_unknown_path_is_an_error_like_any_other(open_peer: OpenPeer) -> None:
    async with open_peer(server_of("GET /a")) as peer:
        answer = await peer.request("POST", "/nowhere", body=b"x" * 1000)
        accepted = await peer.request("GET", "/b", headers=[("Accept", "application/proto")])
    assert answer.status == 404
    assert answer.json() == {
        "code": 404,
        "reason": "NOT_FOUND",
        "message": "nothing is served at /nowhere",
        "metadata": {},
    }
    assert accepted.header("content-type") == "application/proto"


def joined(pieces: list[str], end: str) -> str:
    """Make a path of its pieces."""
    return "/" + "/".join(pieces) + end


_pieces = st.lists(
    st.sampled_from(["a", "b", "{x}", "{y=*}", "*"]), min_size=1, max_size=3, unique=True
)
_template = st.builds(joined, _pieces, st.sampled_from(["", "/{z=**}", ":undo"]))
_segments = st.lists(st.sampled_from(["a", "b", "c", "%61", "d%2Fe", ""]), max_size=4)
_path = st.builds(joined, _segments, st.sampled_from(["", ":undo", ":redo"]))


@given(st.lists(_template, max_size=5, unique=True), _path)
def test_route_is_found_exactly_where_a_template_matches(templates: list[str], path: str) -> None:
    router = router_of(*(f"GET {text}" for text in templates))
    endpoint, params = find(router, "GET", path)
    matching = {
        text: found
        for text in templates
        if (found := PathTemplate.parse(text).match(path)) is not None
    }
    if isinstance(endpoint, Named):
        assert params == list(matching[endpoint.name.removeprefix("GET ")].values())
    else:
        assert matching == {}
