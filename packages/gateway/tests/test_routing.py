"""Routing: the syntax of Go's gateway, order of declaration, and the cost of many routes."""

from __future__ import annotations

import gc
import re
import sys
from dataclasses import dataclass
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos_gateway.routing import Found, HostPattern, PathPattern, Table, clean


def table(*paths: str) -> Table[str]:
    made: Table[str] = Table()
    for path in paths:
        made.add(path, path)
    return made


def found(routes: Table[str], path: str, *, method: str = "GET", host: str = "") -> str | None:
    return routes.find(path, method=method, host=host).value


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/a/b/c", "/a/b/c"),  # these four are Go's
        ("//a/b", "/a/b"),
        ("/a/b/c/", "/a/b/c/"),
        ("/a//b/c//", "/a/b/c/"),
        ("", "/"),
        ("a", "/a"),
        ("/..", "/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/admin", "/admin"),
        ("/helloworld/a%2Fb//c/../d", "/helloworld/a/b/d"),
        ("/%61dmin", "/admin"),
        ("/.well-known/x", "/.well-known/x"),
    ],
)
def test_paths_are_cleaned_as_in_go(raw: str, decoded: str) -> None:
    assert clean(raw.encode()).decoded == decoded


def test_a_back_end_gets_the_cleaned_path_encoded_again() -> None:
    assert clean(b"/a//%c3%bc%20x/%3Fy") == ("/a/ü x/?y", "/a/%C3%BC%20x/%3Fy")
    assert clean(b"/%ff%0d%0a").wire == "/%FF%0D%0A"


def test_a_percent_sign_that_begins_no_escape_is_refused() -> None:
    with pytest.raises(Error) as refused:
        clean(b"/a%zz")
    assert refused.value.code == 400


@given(st.binary(max_size=40))
def test_what_was_cleaned_is_clean(raw: bytes) -> None:
    try:
        first = clean(raw.replace(b"%", b""))
    except Error:
        return
    again = clean(first.wire.encode())
    assert again == first
    assert first.wire.isascii()
    assert not {".", ".."} & set(first.decoded.split("/"))


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/helloworld/*", "/helloworld/x/y", True),
        ("/helloworld/*", "/helloworld/", True),
        ("/helloworld/*", "/helloworld", False),
        ("/foo*", "/foobar/x", True),
        ("*", "/anything", True),
        ("/a/**", "/a/b", True),
        ("/users/{id}", "/users/7", True),
        ("/users/{id}", "/users/", False),
        ("/users/{id}", "/users/7/8", False),
        ("/users/{id}/*", "/users/7/8/9", True),
        ("/users/{id}*", "/users/7/8/9", True),
        ("/users/{id}*", "/users/", False),
        ("/users/{id}/fo*", "/users/7/foo", True),
        ("/users/{id}/fo*", "/users/7/f", False),
        ("/users/{id:[0-9]{2}}", "/users/42", True),
        ("/users/{id:[0-9]{2}}", "/users/421", False),
        ("/users/{id:[0-9]+}/*", "/users/42/x", True),
        ("/files/{name}.json", "/files/a.json", True),
        ("/files/{name}.json", "/files/ajson", False),
        ("/re/[a-z]+", "/re/abc", False),  # text outside of braces stands for itself
        ("/re/[a-z]+", "/re/[a-z]+", True),
    ],
)
def test_patterns_match_as_in_go(pattern: str, path: str, fits: bool) -> None:
    assert (found(table(pattern), path) is not None) == fits
    assert PathPattern.parse(pattern).matches(path) == fits


def test_the_first_that_was_declared_wins_however_exact_another_is() -> None:
    routes = table("/first/*", "/first/second", "/first/{x}", "/{x:.*}")
    assert found(routes, "/first/second") == "/first/*"
    assert found(table("/{x:.*}", "/first"), "/first") == "/{x:.*}"
    assert found(table("/first", "/{x:.*}"), "/first") == "/first"


def test_a_method_fits_in_any_case_and_options_with_it() -> None:
    routes: Table[str] = Table()
    routes.add("/a", "got", method="get")
    routes.add("/a", "any", method="*")
    assert found(routes, "/a") == "got"
    assert found(routes, "/a", method="OPTIONS") == "got"
    assert found(routes, "/a", method="PUT") == "any"


def test_a_path_of_another_method_is_told_from_an_unknown_one() -> None:
    routes: Table[str] = Table()
    routes.add("/a", "post", method="POST")
    assert routes.find("/a", method="HEAD") == Found(None, other_method=True)
    assert routes.find("/b", method="POST") == Found(None)


def test_hosts_decide_together_with_the_order() -> None:
    routes: Table[str] = Table()
    routes.add("/x", "api", host="api.example.com")
    routes.add("/x", "any-tenant", host="{tenant}.example.com")
    routes.add("/x", "digits", host=r"{n:[0-9]+}.example.com")
    routes.add("/x", "port", host="ported.org:99")
    routes.add("/x", "rest")
    routes.add("/x", "never", host="late.example.org")
    assert found(routes, "/x", host="API.example.com:8080") == "api"
    assert found(routes, "/x", host="7.example.com") == "any-tenant"
    assert found(routes, "/x", host="a.b.example.com") == "rest"
    assert found(routes, "/x", host="ported.org:99") == "port"
    assert found(routes, "/x", host="ported.org") == "rest"
    assert found(routes, "/x", host="late.example.org") == "rest"
    assert found(routes, "/x", host="[::1]") == "rest"


def test_a_slash_at_the_end_redirects_both_ways_where_it_is_strict() -> None:
    routes: Table[str] = Table(strict_slash=True)
    for path in ("/a", "/b/", "/c/{x}", "/d/{x:[0-9]+}/", "/"):
        routes.add(path, path)
    assert routes.find("/a/", method="GET") == Found("/a", redirect=True)
    assert routes.find("/a", method="GET") == Found("/a")
    assert routes.find("/b", method="GET") == Found("/b/", redirect=True)
    assert routes.find("/c/1/", method="GET") == Found("/c/{x}", redirect=True)
    assert routes.find("/d/1", method="GET") == Found("/d/{x:[0-9]+}/", redirect=True)
    assert Table[str]().find("/a/", method="GET") == Found(None)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("a/b", "must start with a slash"),
        ("", "must start with a slash"),
        ("/{a", "without its partner"),
        ("/a}", "without its partner"),
        ("/{}", "lacks a name"),
        ("/{a:}", "lacks a name or an expression"),
        ("/{a}/{a}", "two variables"),
        ("/{a:(b)}", "has a group"),
        ("/{a:[}", "is none"),
        ("/a\0", "zero byte"),
    ],
)
def test_a_pattern_that_is_none_is_refused_with_the_reason(pattern: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        table(pattern)


def test_a_host_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match="without its partner"):
        HostPattern.parse("{a.example.com")


@dataclass(frozen=True)
class Route:
    path: str
    method: str
    host: str

    def fits(self, path: str, host: str) -> bool:
        hosted = not self.host or HostPattern.parse(self.host).matches(host)
        return hosted and PathPattern.parse(self.path).matches(path)

    def takes(self, method: str) -> bool:
        return self.method in ("", "*") or method in (self.method.upper(), "OPTIONS")


WORDS = st.sampled_from(["a", "b", "ab", "", "1"])
PARTS = st.one_of(WORDS, st.sampled_from(["{?}", "{?:[a-z]+}", "{?:.*}", "a{?}", "{?}b", "{?}{?}"]))


@st.composite
def routes_of(draw: st.DrawFn) -> Route:
    parts = draw(st.lists(PARTS, min_size=1, max_size=4))
    path = "/" + "/".join(parts)
    while "?" in path:
        path = path.replace("?", f"v{path.count('?')}", 1)
    path += draw(st.sampled_from(["", "*", "/*", "/"]))
    host = draw(st.sampled_from(["", "h.x", "H.x", "{a}.x", "h.x:1", "{a:[hi]}.x"]))
    return Route(path, draw(st.sampled_from(["", "*", "GET", "post"])), host)


PATHS = st.lists(WORDS, max_size=5).map(lambda parts: "/" + "/".join(parts))


@given(
    st.lists(routes_of(), max_size=12),
    PATHS,
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.sampled_from(["h.x", "i.x", "h.x:1", "y"]),
)
def test_the_table_finds_what_a_look_at_each_route_in_turn_finds(
    routes: list[Route], path: str, method: str, host: str
) -> None:
    made: Table[Route] = Table()
    for route in routes:
        made.add(route.path, route, method=route.method, host=route.host)
    fitting = [route for route in routes if route.fits(path, host)]
    wanted = next((route for route in fitting if route.takes(method)), None)
    got = made.find(path, method=method, host=host)
    assert got.value is wanted
    if wanted is None:
        assert got.other_method == bool(fitting)


def calls_of(routes: Table[str], path: str) -> int:
    """Return how many functions are called, of Python and of C, to find a path."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # what is called after a collection, such as hypothesis' clock, is not of the work
    sys.setprofile(note)
    try:
        routes.find(path, method="GET")
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("/r{}/x", "/r00009/x"),
        ("/r{}/*", "/r00009/x"),
        ("/r{}/{{name}}", "/r00009/x"),
        ("/r{}/{{name}}/*", "/r00009/x/y"),
        ("/{{name}}/r{}", "/x/r00009"),
    ],
)
def test_the_work_does_not_grow_with_the_number_of_routes(shape: str, path: str) -> None:
    few, many = (
        table(*(shape.format(f"{number:05}") for number in range(count))) for count in (10, 2000)
    )
    assert found(many, path) == shape.format("00009")
    assert calls_of(many, path) == calls_of(few, path)


SHAPES = st.lists(st.sampled_from(["{}", "-", "a", "A", ".", "/", "aa", ".a"]), max_size=8)
NEAR = st.lists(st.sampled_from(["-", "a", "A", "b", ".", "/", "\n"]), max_size=12).map("".join)


def numbered(parts: list[str]) -> str:
    return "".join(f"{{v{at}}}" if part == "{}" else part for at, part in enumerate(parts))


@given(SHAPES, NEAR, st.booleans())
def test_gaps_take_what_their_expression_takes(parts: list[str], path: str, prefix: bool) -> None:
    pattern = PathPattern.parse(f"/{numbered(parts)}{'*' if prefix else ''}")
    text = "".join("[^/]+" if part == "{}" else re.escape(part) for part in ("/", *parts))
    expression = re.compile(text)
    found = expression.match(f"/{path}") if prefix else expression.fullmatch(f"/{path}")
    assert pattern.matches(f"/{path}") == (found is not None)
    if prefix:
        assert pattern.taken(f"/{path}") == (None if found is None else found.end())


@given(SHAPES, NEAR)
def test_gaps_of_hosts_take_what_their_expression_takes(parts: list[str], host: str) -> None:
    text = "".join("[^.]+" if part == "{}" else re.escape(part) for part in parts)
    expected = re.fullmatch(text, host, re.IGNORECASE) is not None
    assert HostPattern.parse(numbered(parts)).matches(host) == expected


def test_no_path_is_tried_again_and_again() -> None:
    pattern = PathPattern.parse("/x/{a}-{b}-{c}-{d}.json")
    assert not pattern.matches(f"/x/{'-' * 60_000}")  # by its expression, in many years
    host = HostPattern.parse("{a}-{b}-{c}-{d}.example")
    assert not host.matches(f"{'-' * 60_000}.example.com")
    assert PathPattern.parse("/x/{a:[0-9]+}-{b}").gaps is None
