"""Conditions of endpoints: headers, query, cookies, scheme, shares, and the order of asking."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.transport.http import Head
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.proxy import Forwarding
from kratos_gateway.routing import Conditions, Found, HostPattern, PathPattern, Table
from kratos_gateway.routing.order import in_order
from kratos_gateway.routing.particulars import Particulars

Pairs = Sequence[tuple[str, str]]


def head_of(
    method: str = "GET", *, headers: Pairs = (), query: Pairs = (), scheme: str = "http"
) -> Head:
    lines = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Head(method, b"/", urlencode(query).encode(), lines, scheme=scheme)


def endpoint(path: str = "/a", **more: Any) -> Endpoint:
    return ParseDict({"path": path, **more}, Endpoint())


def never() -> float:
    raise AssertionError("nothing is left to chance")


def table(
    *endpoints: Endpoint, draw: Callable[[], float] = never, **options: Any
) -> Table[Endpoint]:
    made: Table[Endpoint] = Table(**options)
    for _, each in in_order(endpoints):
        conditions = Conditions.of(each, draw=draw)
        made.add(each.path, each, method=each.method, host=each.host, conditions=conditions)
    return made


def look(routes: Table[Endpoint], head: Head, path: str = "/a") -> Found[Endpoint]:
    return routes.find(path, method=head.method, host="h.x", head=head)


def fits(match: dict[str, Any], head: Head) -> bool:
    return look(table(endpoint(match=[match])), head).value is not None


@pytest.mark.parametrize(
    ("match", "fitting", "other"),
    [
        ({"exact": "one"}, "one", "One"),
        ({"exact": ""}, "", "x"),
        ({"prefix": "on"}, "one", "none"),
        ({"suffix": "ne"}, "one", "net"),
        ({"regex": "o.e"}, "one", "oneone"),
        ({"regex": "a|b"}, "b", "bc"),
        ({"exact": "ü"}, "ü", "u"),
        ({"exact": "one", "invert": True}, "two", "one"),
    ],
)
@pytest.mark.parametrize("kind", ["header", "query", "cookie"])
def test_a_value_has_to_fit(kind: str, match: dict[str, Any], fitting: str, other: str) -> None:
    if kind == "cookie" and not (fitting + other).isascii():
        fitting, other, match = "u", "v", {"exact": "u"}
    for value, expected in ((fitting, True), (other, False)):
        given = {
            "header": {"headers": [("X-Canary", value)]},
            "query": {"query": [("X-Canary", value)]},
            "cookie": {"headers": [("Cookie", f"a=b; X-Canary={value}")]},
        }
        assert fits({kind: "X-Canary", **match}, head_of(**given[kind])) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["header", "query", "cookie"])
@pytest.mark.parametrize(
    ("match", "there", "absent"),
    [
        ({}, True, False),
        ({"present": True}, True, False),
        ({"present": False}, False, True),
        ({"present": True, "invert": True}, False, True),
        ({"present": False, "invert": True}, True, False),
        ({"exact": "x", "invert": True}, True, True),
        ({"prefix": "x"}, False, False),
    ],
)
def test_a_name_may_be_there_or_not(
    kind: str, match: dict[str, Any], *, there: bool, absent: bool
) -> None:
    headers = [("cookie", "n=v")] if kind == "cookie" else [("n", "v")]
    present = head_of(query=[("n", "v")]) if kind == "query" else head_of(headers=headers)
    assert fits({kind: "n", **match}, present) == there
    assert fits({kind: "n", **match}, head_of()) == absent


def test_one_of_several_values_is_enough_and_none_hides_another() -> None:
    twice: list[tuple[str, str]] = [("n", "first"), ("n", "second")]
    for kind, head in (("header", head_of(headers=twice)), ("query", head_of(query=twice))):
        assert fits({kind: "n", "exact": "second"}, head)
        assert not fits({kind: "n", "exact": "second", "invert": True}, head)


def test_names_of_headers_are_compared_in_any_case_and_others_are_not() -> None:
    assert fits({"header": "X-Canary"}, head_of(headers=[("x-canary", "")]))
    assert not fits({"query": "N"}, head_of(query=[("n", "")]))
    assert not fits({"cookie": "N"}, head_of(headers=[("cookie", "n=1")]))


def test_bytes_that_are_no_text_fit_nothing_and_break_nothing() -> None:
    head = Head("GET", b"/", b"n=%ff&m=\xff", [(b"n", b"\xff"), (b"cookie", b"n=\xff")])
    for kind in ("header", "query"):
        assert fits({kind: "n"}, head)
        assert not fits({kind: "n", "regex": "[a-z]+"}, head)
    assert not fits({"cookie": "n", "exact": "x"}, head)


def test_all_conditions_have_to_be_fulfilled_or_the_next_endpoint_answers() -> None:
    both = endpoint(match=[{"header": "a"}, {"query": "b", "exact": "1"}])
    routes = table(both, endpoint("/*"))
    for headers, query, path in (
        ([("a", "")], [("b", "1")], "/a"),
        ([("a", "")], [("b", "2")], "/*"),
        ([], [("b", "1")], "/*"),
    ):
        found = look(routes, head_of(headers=headers, query=query)).value
        assert found is not None
        assert found.path == path


@given(st.lists(st.sampled_from(["a", "b", "=", "&", "+", "%", "%61", "%2B", "%ff", ";"])))
def test_a_query_is_read_as_others_read_it(parts: list[str]) -> None:
    query = "".join(parts)
    asked = Particulars(Head("GET", b"/", query.encode(), []))
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    for name in ("a", "b", "a b", "+", "aa"):
        assert list(asked.query(name)) == [value for key, value in pairs if key == name]


def test_the_scheme_is_that_of_the_client_as_far_as_whoever_tells_it_is_trusted() -> None:
    wanted = endpoint(match=[{"scheme": "https"}])
    forwarded = [("x-forwarded-proto", "HTTPS")]
    for trusted, scheme, headers, expected in (
        ([], "https", [], True),
        ([], "http", [], False),
        ([], "http", forwarded, False),
        (["192.0.2.0/24"], "http", forwarded, True),
        (None, "http", forwarded, True),
    ):
        routes = table(wanted, scheme_of=Forwarding(trusted).scheme)
        head = head_of(headers=headers, scheme=scheme)
        head.peer = "192.0.2.7:1"
        assert (look(routes, head).value is not None) == expected


def test_what_has_a_higher_priority_is_asked_first() -> None:
    routes = table(
        endpoint("/*", description="last", priority=-1),
        endpoint("/*", description="second"),
        endpoint("/{x}", description="third"),
        endpoint("/a", description="first", priority=2147483647),
    )
    found = [look(routes, head_of(), path).value for path in ("/a", "/b")]
    assert [each.description for each in found if each is not None] == ["first", "second"]


def test_another_method_is_told_only_where_all_else_fits() -> None:
    routes = table(endpoint(method="POST", match=[{"header": "a"}]))
    assert look(routes, head_of(headers=[("a", "")])) == Found(None, other_method=True)
    assert look(routes, head_of()) == Found(None)
    assert look(routes, head_of("POST")) == Found(None)
    shared = table(endpoint(method="POST", percentage=1))  # and nothing is drawn for that
    assert look(shared, head_of()) == Found(None, other_method=True)
    assert look(table(endpoint(method="POST", percentage=0)), head_of()) == Found(None)


ASKING = [("Origin", "https://a"), ("Access-Control-Request-Method", "PUT")]


def test_a_browser_that_asks_whether_it_may_is_let_off_what_it_does_not_send() -> None:
    for match in ({"header": "x-canary"}, {"cookie": "a", "exact": "b"}):
        routes = table(endpoint(method="PUT", match=[match, {"query": "v", "exact": "2"}]))
        asked = head_of("OPTIONS", headers=ASKING, query=[("v", "2")])
        assert look(routes, asked).value is not None
        assert look(routes, head_of("OPTIONS", headers=ASKING)).value is None
        assert look(routes, head_of("OPTIONS", query=[("v", "2")])).value is None
        assert look(routes, head_of("PUT", headers=ASKING, query=[("v", "2")])).value is None


def test_a_browser_that_asks_gets_what_fits_as_it_is_before_anything_else() -> None:
    routes = table(endpoint(match=[{"header": "x-canary"}]), endpoint("/*"))
    found = look(routes, head_of("OPTIONS", headers=ASKING)).value
    assert found is not None
    assert found.path == "/*"


def test_a_browser_that_asks_is_in_every_share_but_an_empty_one() -> None:
    asked = head_of("OPTIONS", headers=ASKING)
    routes = table(endpoint(percentage=1), draw=lambda: 0.5)
    assert look(routes, asked).value is not None
    assert look(table(endpoint(percentage=0), draw=lambda: 0.5), asked).value is None


@pytest.mark.parametrize(
    ("percentage", "drawn", "inside"),
    [(25, 0.2499, True), (25, 0.25, False), (0, 0.0, False), (100, 0.9999999, True)],
)
def test_a_share_is_drawn_and_the_others_go_to_the_next(
    percentage: float, drawn: float, *, inside: bool
) -> None:
    routes = table(endpoint(percentage=percentage), endpoint("/*"), draw=lambda: drawn)
    found = look(routes, head_of()).value
    assert found is not None
    assert (found.path == "/a") == inside


@pytest.mark.parametrize("kind", ["header", "cookie"])
def test_who_is_in_a_share_stays_there_also_when_it_grows(kind: str) -> None:
    def inside(percentage: float, salt: str = "") -> set[int]:
        sticky = {kind: "user", "salt": salt}
        routes = table(endpoint(percentage=percentage, sticky=sticky))
        heads = {
            user: head_of(
                headers=[("user", f"u{user}") if kind == "header" else ("cookie", f"user=u{user}")]
            )
            for user in range(400)
        }
        return {user for user, head in heads.items() if look(routes, head).value is not None}

    assert inside(20) == inside(20)
    assert inside(20) < inside(50)
    assert 50 < len(inside(20)) < 110  # always these
    assert inside(100) == set(range(400))
    assert inside(0) == set()
    assert inside(50, "other") != inside(50)


def test_a_draw_by_a_sign_is_the_same_on_every_gateway() -> None:
    routes = table(endpoint(percentage=62, sticky={"header": "user"}))
    inside = [user for user in "abcdefgh" if look(routes, head_of(headers=[("user", user)])).value]
    assert "".join(inside) == "bgh"  # by b2sum -l 64 of a zero byte and the value


def test_who_has_no_sign_is_drawn() -> None:
    routes = table(endpoint(percentage=50, sticky={"cookie": "user"}), draw=lambda: 0.4)
    assert look(routes, head_of()).value is not None
    assert look(routes, head_of(headers=[("cookie", "user=")])).value is not None


def test_a_slash_at_the_end_is_redirected_only_where_the_conditions_are_fulfilled() -> None:
    routes = table(endpoint("/a/", match=[{"header": "x"}]), strict_slash=True)
    assert look(routes, head_of(headers=[("x", "")])).redirect
    assert look(routes, head_of()) == Found(None)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"match": [{"invert": True}]}, r"match\[0\]: it names nothing: write a header"),
        ({"match": [{"header": "a"}, {"query": ""}]}, r"match\[1\]: query is empty"),
        ({"match": [{"header": "a b"}]}, r"match\[0\]: header: 'a b' is no name"),
        ({"match": [{"cookie": "a;"}]}, r"match\[0\]: cookie: 'a;' is no name"),
        ({"match": [{"scheme": "ftp"}]}, r"match\[0\]: scheme is http or https, not 'ftp'"),
        ({"match": [{"scheme": "http", "exact": "a"}]}, "scheme takes no exact"),
        ({"match": [{"header": "a", "regex": "["}]}, r"match\[0\]: regex '\[' is no expression"),
        ({"match": [{"header": "a", "prefix": ""}]}, r"match\[0\]: prefix is empty, so all fits"),
        ({"percentage": 101}, "percentage is from 0 to 100, not 101"),
        ({"percentage": "NaN"}, "percentage is from 0 to 100, not nan"),
        ({"percentage": -1}, "percentage is from 0 to 100, not -1"),
        ({"percentage": 1, "sticky": {}}, "sticky needs a key"),
        ({"percentage": 1, "sticky": {"cookie": ""}}, "sticky.cookie: '' is no name"),
        ({"sticky": {"cookie": "a"}}, "sticky is of a percentage"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_the_reason(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        Conditions.of(endpoint(**fields))


# What a look at each endpoint in turn finds, written down once more and in another way.


@dataclass(frozen=True)
class Asking:
    method: str
    host: str
    path: str
    headers: Pairs
    query: Pairs
    cookies: dict[str, str] = field(hash=False)

    @property
    def head(self) -> Head:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = [*self.headers, *([("cookie", cookie)] if cookie else [])]
        return head_of(self.method, headers=lines, query=self.query)

    @property
    def preflight(self) -> bool:
        return self.method == "OPTIONS" and set(ASKING) <= set(self.headers)


@dataclass(frozen=True)
class Route:
    endpoint: Endpoint
    drawn: float

    def shown(self, asked: Asking, *, lenient: bool) -> bool:
        told = self.endpoint
        hosted = not told.host or HostPattern.parse(told.host).matches(asked.host)
        if not (hosted and PathPattern.parse(told.path).matches(asked.path)):
            return False
        for match in told.match:
            kind = match.WhichOneof("of") or ""
            if lenient and kind in ("header", "cookie"):
                continue
            if not naive(match, kind, asked):
                return False
        return not told.HasField("percentage") or told.percentage > 0

    def takes(self, asked: Asking, *, lenient: bool) -> bool:
        told = self.endpoint
        methods = {told.method.upper(), "OPTIONS"}
        if told.method not in ("", "*") and asked.method not in methods:
            return False
        if lenient or not told.HasField("percentage"):
            return True
        return self.drawn * 100 < told.percentage


def naive(match: Any, kind: str, asked: Asking) -> bool:
    name = getattr(match, kind)
    values = {
        "header": [value for key, value in asked.headers if key.lower() == name.lower()],
        "query": [value for key, value in asked.query if key == name],
        "cookie": [asked.cookies[name]] if name in asked.cookies else [],
    }[kind]
    test = match.WhichOneof("test")
    if test is None or test == "present":
        result = bool(values) == (test is None or match.present)
    else:
        wanted = getattr(match, test)
        checks: dict[str, Callable[[str], object]] = {
            "exact": lambda value: value == wanted,
            "prefix": lambda value: value[: len(wanted)] == wanted,
            "suffix": lambda value: value[-len(wanted) :] == wanted,
            "regex": lambda value: re.match(f"(?:{wanted})$", value),
        }
        result = any(checks[test](value) for value in values)
    return bool(result != match.invert)


NAMES = st.sampled_from(["n", "m"])
VALUES = st.sampled_from(["1", "12", "2"])
PATHS = ["/a", "/a/*", "/*", "/{x}", "/{x}/b", "/a{x}", "/{x:.*}", "/a/b", "/a/"]


@st.composite
def matches(draw: st.DrawFn) -> dict[str, Any]:
    told: dict[str, Any] = {draw(st.sampled_from(["header", "query", "cookie"])): draw(NAMES)}
    test = draw(st.sampled_from(["", "present", "exact", "prefix", "suffix", "regex"]))
    if test == "present":
        told[test] = draw(st.booleans())
    elif test == "regex":
        told[test] = draw(st.sampled_from(["1+", "[12]{2}", "1|2"]))
    elif test:
        told[test] = draw(VALUES)
    return {**told, "invert": draw(st.booleans())}


@st.composite
def routes_of(draw: st.DrawFn) -> Route:
    told: dict[str, Any] = {
        "method": draw(st.sampled_from(["", "*", "GET", "put"])),
        "host": draw(st.sampled_from(["", "h.x", "{a}.x"])),
        "match": draw(st.lists(matches(), max_size=2)),
        "priority": draw(st.integers(-1, 1)),
    }
    share = draw(st.sampled_from([None, None, 0, 40, 100]))
    if share is not None:
        told["percentage"] = share
    path = draw(st.sampled_from(PATHS))
    return Route(endpoint(path, **told), draw(st.sampled_from([0.0, 0.3, 0.9])))


PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=2)
REQUESTS = st.builds(
    Asking,
    st.sampled_from(["GET", "PUT", "OPTIONS"]),
    st.sampled_from(["h.x", "i.x", "y"]),
    st.sampled_from(["/a", "/a/", "/a/b", "/ab", "/", "/c/b"]),
    st.tuples(PAIRS, st.sampled_from([[], ASKING])).map(lambda both: [*both[0], *both[1]]),
    PAIRS,
    st.dictionaries(NAMES, VALUES, max_size=2),
)


@given(st.lists(routes_of(), max_size=10), REQUESTS)
def test_the_table_finds_what_a_look_at_each_endpoint_in_turn_finds(
    routes: list[Route], asked: Asking
) -> None:
    made: Table[Route] = Table()
    ordered = sorted(routes, key=lambda route: route.endpoint.priority, reverse=True)
    for at, told in in_order([route.endpoint for route in routes]):
        drawn = routes[at].drawn
        conditions = Conditions.of(told, draw=lambda drawn=drawn: drawn)  # type: ignore[misc]
        made.add(told.path, routes[at], method=told.method, host=told.host, conditions=conditions)
    wanted: Route | None = None
    other_method = False
    for lenient in (False, True) if asked.preflight else (False,):
        fitting = [route for route in ordered if route.shown(asked, lenient=lenient)]
        wanted = next((each for each in fitting if each.takes(asked, lenient=lenient)), None)
        method = asked.method
        other_method = any(
            each.endpoint.method not in ("", "*", "OPTIONS")
            and method not in (each.endpoint.method.upper(), "OPTIONS")
            for each in fitting
        )
        if wanted is not None:
            break
    got = made.find(asked.path, method=asked.method, host=asked.host, head=asked.head)
    assert got.value is wanted
    if wanted is None:
        assert got.other_method == other_method
