"""Rewriting of requests and answers (Go: middleware/rewrite)."""

from __future__ import annotations

import pytest

from kratos.errors import ConfigError
from kratos_gateway.api.rewrite_pb2 import (
    HeadersPolicy,
    PrefixRewrite,
    RegexRewrite,
    Rewrite,
)
from kratos_gateway.exchange import Answer
from kratos_gateway.middleware.testing import Backend, behind, request_to


@pytest.mark.parametrize(
    ("prefix", "path", "passed_on"),
    [
        # Of Go's test.
        ("/dddd/", "/dddd/api", "/api"),
        ("/dddd", "/dddd/api", "/api"),
        ("/dddd/", "/dddd/dddd/api", "/dddd/api"),
        ("/dddd", "/dddd/dddd/api", "/dddd/api"),
        # What else may come.
        ("/dddd", "/dddd", "/"),
        ("/dddd/", "/dddd/", "/"),
        ("/dddd/", "/dddd", "/dddd"),
        ("/dddd", "/other/dddd", "/other/dddd"),
        ("/a b", "/a%20b/c", "/c"),
        ("/ä", "/%C3%A4/c", "/c"),
        ("/dddd", "/ddddapi", "/api"),
        # What is left would lead elsewhere.
        ("/dddd", "/dddd../api", "/dddd../api"),
        ("/dddd", "/dddd%2e%2e/api", "/dddd%2e%2e/api"),
        ("/dddd", "/dddd..%2fapi", "/dddd..%2fapi"),
        ("/dddd", "/dddd./api", "/dddd./api"),
        ("", "/dddd/api", "/dddd/api"),
    ],
)
async def test_prefix_is_taken_off(prefix: str, path: str, passed_on: str) -> None:
    backend = Backend()
    await behind(backend, "rewrite", Rewrite(strip_prefix=prefix))(request_to(f"{path}?a=/dddd"))
    assert (backend.last.path, backend.last.query) == (passed_on, "a=/dddd")


async def test_path_and_host_are_replaced_before_the_prefix_is_taken_off() -> None:
    backend = Backend()
    options = Rewrite(path_rewrite="/v2/ä%2F%", host_rewrite="b.test", strip_prefix="/v2")
    await behind(backend, "rewrite", options)(request_to("/v1/x"))
    assert (backend.last.host, backend.last.path) == ("b.test", "/%C3%A4%2F%25")


async def test_header_is_replaced_however_a_client_spells_it() -> None:
    backend = Backend()
    policy = HeadersPolicy(set={"X-Role": "guest"}, remove=["X-Debug"])
    sent = [("X_Role", "admin"), ("X-Role", "admin"), ("X_Debug", "1"), ("X_Other", "1")]
    handler = behind(backend, "rewrite", Rewrite(request_headers_rewrite=policy))
    await handler(request_to(headers=sent))
    assert backend.last.headers == [(b"x_other", b"1"), (b"x-role", b"guest")]


async def test_nothing_to_rewrite_changes_nothing() -> None:
    backend = Backend()
    request = request_to("/a%2Fb?c", headers=[("X-A", "1")])
    await behind(backend, "rewrite")(request)
    assert backend.last == request


async def test_headers_are_set_then_added_then_removed() -> None:
    policy = HeadersPolicy(
        set={"X-Set": "new", "X-Gone": "new"}, add={"X-Add": "2"}, remove=["x-gone", "X-Not-There"]
    )
    backend = Backend(Answer(200, [(b"x-set", b"old"), (b"x-add", b"1"), (b"x-gone", b"old")]))
    options = Rewrite(request_headers_rewrite=policy, response_headers_rewrite=policy)
    sent = [("X-Set", "old"), ("X-Add", "1"), ("X-Gone", "old"), ("X-Kept", "k")]
    answer = await behind(backend, "rewrite", options)(request_to(headers=sent))
    assert backend.last.headers == [
        (b"x-add", b"1"),
        (b"x-kept", b"k"),
        (b"x-set", b"new"),
        (b"x-add", b"2"),
    ]
    assert answer.headers == [(b"x-add", b"1"), (b"x-set", b"new"), (b"x-add", b"2")]


async def test_request_stays_as_it_was_for_the_next_attempt() -> None:
    policy = HeadersPolicy(add={"X-Add": "1"})
    handler = behind(
        Backend(), "rewrite", Rewrite(strip_prefix="/a", request_headers_rewrite=policy)
    )
    request = request_to("/a/a")
    await handler(request)
    assert (request.path, request.headers) == ("/a/a", [])


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (HeadersPolicy(set={"a b": "1"}), "no name of a header"),
        (HeadersPolicy(add={"X-A": "1\r\nX-B: 2"}), "line break"),
        (HeadersPolicy(set={"Content-Length": "1"}), "by the gateway itself"),
        (HeadersPolicy(remove=["Transfer-Encoding"]), "by the gateway itself"),
        (HeadersPolicy(set={"Host": "b"}), "hostRewrite"),
    ],
)
def test_headers_that_break_messages_are_refused(policy: HeadersPolicy, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"responseHeadersRewrite.*{complaint}"):
        behind(Backend(), "rewrite", Rewrite(response_headers_rewrite=policy))


def test_path_without_a_slash_is_refused() -> None:
    with pytest.raises(ConfigError, match="pathRewrite must begin with a slash"):
        behind(Backend(), "rewrite", Rewrite(path_rewrite="v1"))


async def passed_on(path: str, options: Rewrite) -> str:
    backend = Backend()
    await behind(backend, "rewrite", options)(request_to(path))
    return backend.last.path


@pytest.mark.parametrize(
    ("prefix", "replacement", "path", "wanted"),
    [
        ("/v1", "/v2", "/v1/x", "/v2/x"),
        ("/v1/", "/", "/v1/x", "/x"),
        ("/v1", "/", "/v1/x", "/x"),
        ("/v1", "/a/b", "/v1", "/a/b"),
        ("/v1", "/v2", "/else/v1", "/else/v1"),
        ("/a b", "/ü%2f", "/a%20b/c%20d", "/%C3%BC/c%20d"),
        ("/v1", "/v2/..", "/v1/x", "/x"),
        ("/v1", "/v2/", "/v1../x", "/v1../x"),
        ("/v1", "/v2/", "/v1..%2fx", "/v1..%2fx"),
        ("/v1", "/v2", "/v1x", "/v2x"),
    ],
)
async def test_a_prefix_is_replaced(prefix: str, replacement: str, path: str, wanted: str) -> None:
    told = PrefixRewrite(prefix=prefix, replacement=replacement)
    assert await passed_on(path, Rewrite(prefix_rewrite=told)) == wanted


@pytest.mark.parametrize(
    ("pattern", "substitution", "path", "wanted"),
    [
        (r"^/users/(\d+)/(.*)$", r"/\2/of/\1", "/users/7/carts", "/carts/of/7"),
        (r"^/(?P<name>[^/]+)", r"/x-\g<name>", "/ab/c", "/x-ab/c"),
        ("a", "b", "/a/a", "/b/b"),
        ("ü", "u", "/%C3%BC", "/u"),
        ("nothing", "x", "/a%2Fb", "/a%2Fb"),  # stays as it was, to the letter
        ("^/a", "", "/a", "/"),
        ("^/files/(.*)$", r"/\1", "/files/%3Fq=1%23", "/%3Fq=1%23"),
        ("^/files/(.*)$", r"/\1?x=1", "/files/a", "/a%3Fx=1"),
        ("x", r"/../../", "/a/bxc", "/c"),
        ("x", "//", "/xevil.test", "/evil.test"),
        ("x", "\r\n \0", "/x", "/%0D%0A%20%00"),
        ("x", "%2e%2e", "/a/x", "/a/%252e%252e"),
        ("a", "b", "/%FF/a", "/%FF/b"),
    ],
)
async def test_what_an_expression_fits_is_replaced(
    pattern: str, substitution: str, path: str, wanted: str
) -> None:
    told = RegexRewrite(pattern=pattern, substitution=substitution)
    assert await passed_on(path, Rewrite(regex_rewrite=told)) == wanted


async def test_a_prefix_is_taken_off_then_replaced_then_the_expression_follows() -> None:
    options = Rewrite(
        strip_prefix="/a",
        prefix_rewrite=PrefixRewrite(prefix="/b", replacement="/c"),
        regex_rewrite=RegexRewrite(pattern="^/c", substitution="/d"),
    )
    assert await passed_on("/a/b/x", options) == "/d/x"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            Rewrite(prefix_rewrite=PrefixRewrite(prefix="a", replacement="/")),
            "prefixRewrite.prefix",
        ),
        (
            Rewrite(prefix_rewrite=PrefixRewrite(prefix="/a")),
            "prefixRewrite.replacement must begin",
        ),
        (Rewrite(regex_rewrite=RegexRewrite()), "regexRewrite.pattern is empty"),
        (Rewrite(regex_rewrite=RegexRewrite(pattern="(")), "regexRewrite.pattern: '\\(' is no"),
        (
            Rewrite(regex_rewrite=RegexRewrite(pattern="a", substitution=r"\1")),
            "regexRewrite.substitution: .*invalid group reference",
        ),
        (
            Rewrite(regex_rewrite=RegexRewrite(pattern="a", substitution=r"\g<b>")),
            "regexRewrite.substitution: .*unknown group name",
        ),
    ],
)
def test_a_replacement_that_is_none_is_refused(options: Rewrite, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "rewrite", options)
