"""The same requests over HTTP/1.1, the same answers: which endpoint, what it gets, what comes back.

See ``wanted.py`` for what differs on purpose.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.interop.gateway.beside import BOTH, Both
from tests.interop.gateway.node import HANG, RESET
from tests.interop.gateway.wanted import EVERYWHERE, WANTED

pytestmark = [
    pytest.mark.go,
    pytest.mark.slow,
    pytest.mark.outside("KRATOS_GO_GATEWAY_SRC", "Go's gateway"),
]

CONFIG = """
name: both
version: v7
middlewares: [{name: logging}, {name: unknown}]
endpoints:
  - {path: '/first/*', backends: [{target: '%(node)s'}], timeout: 60s, protocol: HTTP}
  - {path: '/first/second', backends: [{target: '127.0.0.1:1'}], timeout: 60s}
  - {path: '/exact', backends: [{target: '%(node)s'}], timeout: 60s, method: get}
  - {path: '/item/{id:[0-9]+}', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/seg/{a}/x', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/re/[a-z]+', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/host', host: 'api.example.com', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/hosts', host: '{x:[a-z]+}.example.com', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/any', method: '*', backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/post', method: POST, backends: [{target: '%(node)s'}], timeout: 60s}
  - {path: '/cut', timeout: 0.3s, backends: [{target: '%(node)s'}]}
  - {path: '/try/cut', retry: {perTryTimeout: 0.3s}, backends: [{target: '%(node)s'}]}
  - {path: '/default', backends: [{target: '%(node)s'}]}
  - {path: '/dead', timeout: 60s, backends: [{target: '127.0.0.1:1'}]}
  - path: '/named'
    timeout: 60s
    backends: [{target: '%(node)s', metadata: {host: other.example}}]
  - path: '/again'
    timeout: 60s
    backends: [{target: '%(node)s'}]
    retry:
      attempts: 3
      perTryTimeout: 20s
      conditions: [{byStatusCode: 502-504}, {byHeader: {name: x-again, value: '["yes","please"]'}}]
"""


def request(
    target: str, *headers: str, method: str = "GET", host: str = "x", body: str = ""
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", body]
    return "\r\n".join(lines).encode("latin-1")


def answer(status: str, body: str = "", *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    lines = [f"HTTP/1.1 {status}", "Content-Type: a/b", *headers, length, "", body]
    return "\r\n".join(lines).encode("latin-1")


def chunked(body: str, *headers: str, trailers: str = "") -> bytes:
    head = ["HTTP/1.1 200 OK", *headers, "Transfer-Encoding: chunked", "", ""]
    return f"{chr(13) + chr(10)}".join(head).encode() + (
        f"{len(body):x}\r\n{body}\r\n0\r\n{trailers}\r\n".encode()
    )


def differs(both: Both, sent: bytes, *answers: bytes, **reasons: Any) -> set[str]:
    return both.ask(sent, *answers) - EVERYWHERE.keys()


def test_back_ends_are_told_more_than_by_go(both: Both) -> None:
    assert both.ask(request("/exact")) == EVERYWHERE.keys()
    assert both.requests["kratos"][0].header("x-forwarded-host") == "x"
    assert both.requests["kratos"][0].header("x-forwarded-proto") == "http"


ROUTES = [
    *("/first/second", "/first", "/nowhere", "/exact", "/", "/item/12", "/item/x", "/item/1/2"),
    *("/seg/u/x", "/seg/u/v/x", "/seg//x", "/re/abc", "/any", "/post", "/host", "/hosts"),
    *("//first/x", "/first/a/b//", "/first/./x/", "/first/a//b", "/first/c/../d", "/first/.."),
    *("/first/%2e%2e/exact", "/first/..%2f..%2fexact", "/first/%E4%BD%A0", "/first/a+b%20c"),
    *("/first/a%2Fb//c/../d?x=1&y=%20z", "/first/x?c;d", "/first/x?a=b?c", "/first/;a=1,b:c@d"),
    *("/first/a%25b", "/first/~a'(b)!c*d$e&f=g", "/exact/", "/EXACT", "/first/%C3%A9%FF"),
    *("/metrics/", "/first//../exact", "/./exact"),
]


@pytest.mark.parametrize("target", ROUTES)
def test_a_target_leads_to_the_same_path_of_the_same_endpoint(both: Both, target: str) -> None:
    assert differs(both, request(target)) == set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE"])
@pytest.mark.parametrize("target", ["/exact", "/post", "/any", "/nowhere"])
def test_methods_fit_the_same_endpoints(both: Both, target: str, method: str) -> None:
    found = differs(both, request(target, "Content-Length: 1", method=method, body="x"))
    assert found == set()


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/host", "api.example.com"),
        ("/host", "api.example.com:99"),
        ("/host", "api.example.com.evil"),
        ("/hosts", "abc.example.com"),
        ("/hosts", "a1.example.com"),
        ("/hosts", "a.b.example.com"),
    ],
)
def test_hosts_fit_the_same_endpoints(both: Both, target: str, host: str) -> None:
    assert differs(both, request(target, host=host)) == set()


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        ("/cut", [HANG]),
        ("/try/cut", [HANG]),
        ("/default", [HANG]),
        ("/dead", []),
        ("/exact", [RESET]),
        ("/exact", [b"nonsense\r\n\r\n"]),
    ],
    ids=["timeout", "time for one attempt", "default timeout", "nobody", "reset", "nonsense"],
)
def test_failures_have_the_same_answers(both: Both, sent: str, answers: list[bytes]) -> None:
    assert differs(both, request(sent), *answers) == set()
    assert both.answers["go"].body == b""


@pytest.mark.parametrize(
    "answers",
    [
        [answer("503 Busy", "one"), answer("502 Bad", "two"), answer("200 OK", "three")],
        [answer("503 Busy", "one"), answer("404 Not Found", "two"), answer("200 OK", "three")],
        [answer("200 OK", "one", "X-Again: please"), answer("200 OK", "two")],
        [answer("200 OK", "one", "X-Again: no"), answer("200 OK", "two")],
        [answer("500 No", "one"), answer("200 OK", "two")],
        [RESET, answer("200 OK", "two")],
    ],
    ids=["twice", "until it fits none", "header", "another header", "no condition", "lost"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_same_attempts_follow(both: Both, answers: list[bytes], method: str) -> None:
    sent = request("/again", "Content-Length: 4", method=method, body="body")
    assert differs(both, sent, *answers) == set()


@pytest.mark.parametrize(
    "said",
    [
        answer("200 OK", "one", "X-B: 1", "x-b: 2", "Set-Cookie: a", "Set-Cookie: b", "Server: s"),
        answer("302 Found", "", "Location: /elsewhere"),
        answer("404 Not Found", "no"),
        answer("500 Internal Server Error", "no", "X-Empty:"),
        answer("503 Service Unavailable"),
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        answer("200 OK", "x", "Date: Tue, 01 Jan 2030 00:00:00 GMT", "Content-Encoding: gzip"),
        answer("200 OK", "x" * 100_000),
    ],
    ids=["several", "redirect", "404", "500", "503", "204", "304", "encoded", "large"],
)
def test_answers_are_passed_on_alike(both: Both, said: bytes) -> None:
    assert differs(both, request("/any"), said) == set()


@pytest.mark.parametrize("length", [0, 5])
def test_answers_to_head_keep_their_length(both: Both, length: int) -> None:
    said = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    assert differs(both, request("/any", method="HEAD"), said) == set()


@pytest.mark.parametrize(
    "headers",
    [
        ["X-A: a", "X-A: b", "X-Empty:", "X_under: 1", "Cookie: a", "Cookie: b"],
        ["Accept-Encoding: gzip", "Range: bytes=0-1", "Authorization: x", "Via: 1.1 y"],
        ["User-Agent: u", "Accept: */*", "Referer: r", "Upgrade-Insecure-Requests: 1"],
        ["Grpc-Timeout: 5S", "X-Md-Global-A: 1", "Traceparent: 00-a-b-01"],
        ["Content-Length: 3", "Content-Type: a/b"],
        ["If-None-Match: x", "Origin: https://a", "Cache-Control: no-cache"],
    ],
)
def test_headers_of_requests_reach_back_ends_alike(both: Both, headers: list[str]) -> None:
    sized = any(each.startswith("Content-Length") for each in headers)
    method = "POST" if sized else "GET"
    sent = request("/any", *headers, method=method, body="abc" if sized else "")
    assert differs(both, sent) == set()


def test_a_back_end_may_be_named_otherwise(both: Both) -> None:
    assert differs(both, request("/named")) == set()
    assert [both.requests[name][0].header("host") for name in BOTH] == ["other.example"] * 2


@pytest.mark.parametrize("sent", [
    request("/metrics", "X-Forwarded-For: 1.1.1.1"),
    request("/metrics", "X-Forwarded-For: 1.1.1.1", method="POST"),
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://other/exact HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://api.example.com/host HTTP/1.1\r\nHost: x\r\n\r\n",
    request("/exact", "Connection: close", "User-Agent: u", host="x:1"),
], ids=["metrics", "posted metrics", "asterisk", "URL", "URL with a host", "close"])  # fmt: skip
def test_odd_requests_are_answered_alike(both: Both, sent: bytes) -> None:
    assert differs(both, sent) - {"request header connection"} == set()


CHUNKED = "Transfer-Encoding: chunked"
HOP = ["Connection: x-q", "X-Q: 1", "TE: trailers", "Keep-Alive: 5", "Proxy-Authorization: p"]
FORGED = [
    "X-Forwarded-For: 1.1.1.1",
    "X-Forwarded-For: 2.2.2.2",
    "X-Real-IP: 3",
    "Forwarded: for=4",
]
WHOLE = {"answer header content-length": "framing", "answer header transfer-encoding": "framing"}
REFUSED = {
    "answer body": "malformed",
    "answer header content-type": "malformed",
    "answer header content-length": "malformed",
}


@pytest.mark.parametrize(
    ("sent", "said", "reasons"),
    [
        (
            request("/any", *HOP),
            answer("200 OK", "x", "Connection: keep-alive, X-A", "X-A: 1", "Keep-Alive: timeout=5"),
            {
                **{f"request header {name.partition(':')[0].lower()}": "hop" for name in HOP},
                **{f"answer header {name}": "hop" for name in ("connection", "x-a", "keep-alive")},
            },
        ),
        (
            request("/any", *FORGED),
            answer("200 OK"),
            {f"request header {name.partition(':')[0].lower()}": "forged" for name in FORGED},
        ),
        (
            request("/host", host="API.example.com"),
            answer("200 OK"),
            {
                "requests: 0 of Go's, 1 of ours": "case of hosts",
                "answer line": "case of hosts",
                "answer body": "case of hosts",
                "answer header content-type": "case of hosts",
                "answer header content-length": "case of hosts",
                "answer header x-content-type-options": "case of hosts",
            },
        ),
        (request("/first/a%2Fb"), answer("200 OK"), {"request line": "spelling"}),
        (request("/first/%41%3Bb"), answer("200 OK"), {"request line": "spelling"}),
        (request("/first/%ff"), answer("200 OK"), {"request line": "spelling"}),
        (request("/re/[a-z]+"), answer("200 OK"), {"request line": "spelling"}),
        (request("/any?"), answer("200 OK"), {"request line": "query"}),
        (
            request("/any"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            {"answer header content-type": "guess"},
        ),
        (request("/any"), answer("418 Short and stout"), {"answer line": "phrase"}),
        (request("/any"), answer("499 Gone"), {"answer line": "phrase"}),
        (
            request("/any", method="PURGE"),
            answer("200 OK"),
            {"request header transfer-encoding": "framing"},
        ),
        (
            request("/post", "Content-Length: 0", method="POST"),
            answer("200 OK"),
            {
                "request header content-length": "framing",
                "request header transfer-encoding": "framing",
            },
        ),
        (
            request("/post", CHUNKED, method="POST", body="1\r\na\r\n0\r\n\r\n"),
            answer("200 OK"),
            {
                "request header content-length": "framing",
                "request header transfer-encoding": "framing",
            },
        ),
        (
            request("/post", "Transfer-Encoding: chunked", "Trailer: X-T", method="POST",
                    body="1\r\na\r\n0\r\nX-T: 1\r\n\r\n"),
            answer("200 OK"),
            {
                "request header content-length": "framing",
                "request header transfer-encoding": "framing",
                "request header trailer": "trailers of requests",
                "request trailer x-t": "trailers of requests",
            },
        ),
        (
            request("/post", "Content-Length: 1", "Expect: 100-continue", method="POST", body="x"),
            answer("200 OK"),
            {"request header expect": "hop"},
        ),
        (
            request("/any"),
            chunked("abc", "Content-Type: a/b", trailers="X-T: 1\r\n"),
            {**WHOLE, "answer trailer x-t": "streams"},
        ),
        (
            request("/any"),
            b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: close\r\n\r\nabc",
            WHOLE,
        ),
        (
            request("/any"),
            chunked("data: 1\n\n", "Content-Type: text/event-stream", "X-Accel-Buffering: no"),
            WHOLE,
        ),
        (
            request("/again"),
            answer("503 Service Unavailable", "last"),
            {"answer body": "body of the last"},
        ),
        (
            b"GET /any HTTP/1.0\r\n\r\n",
            answer("200 OK"),
            {
                "answer line": "old protocol",
                "answer header connection": "old protocol",
                "request header connection": "hop",
            },
        ),
        (
            request("/exact", method="get"),
            answer("200 OK"),
            {
                **REFUSED,
                "answer line": "methods",
                "answer header connection": "methods",
                "answer header x-content-type-options": "methods",
            },
        ),
        (b"GET any HTTP/1.1\r\nHost: x\r\n\r\n", answer("200 OK"), REFUSED),
        (b"GET /any HTTP/1.1\r\n\r\n", answer("200 OK"), {**REFUSED, "answer line": "phrase"}),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", answer("200 OK"), REFUSED),
        (
            b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            answer("200 OK"),
            {
                "answer body": "malformed",
                "answer header connection": "malformed",
                "answer header content-length": "malformed",
                "answer header x-content-type-options": "malformed",
            },
        ),
        (
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            answer("200 OK"),
            {
                **REFUSED,
                "answer line": "connect",
                "answer header connection": "connect",
                "answer header x-content-type-options": "connect",
            },
        ),
    ],
)  # fmt: skip
def test_what_differs_is_wanted(
    both: Both, sent: bytes, said: bytes, reasons: dict[str, str]
) -> None:
    assert differs(both, sent, said) == reasons.keys()
    assert set(reasons.values()) <= WANTED.keys()
