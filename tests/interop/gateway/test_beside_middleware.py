"""The same middleware with the same options does the same.

See ``wanted.py`` for what differs on purpose.
"""

from __future__ import annotations

import pytest
from tests.interop.gateway.beside import Both
from tests.interop.gateway.wanted import EVERYWHERE, WANTED

pytestmark = [
    pytest.mark.go,
    pytest.mark.slow,
    pytest.mark.outside("KRATOS_GO_GATEWAY_SRC", "Go's gateway"),
]

TYPE = "'@type': type.googleapis.com/gateway.middleware"
CONFIG = f"""
name: both
middlewares: [{{name: logging}}, {{name: BBR}}]
endpoints:
  - path: /cors/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - name: cors
        options:
          {TYPE}.cors.v1.Cors
          allowOrigins: ['*.google.com', 'Example.org']
          exposeHeaders: [x-a, x-b]
          allowPrivateNetwork: true
  - path: /cors-dot/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: cors, options: {{{TYPE}.cors.v1.Cors, allowOrigins: [.google.com]}}}}
  - path: /cors-all/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: cors, options: {{{TYPE}.cors.v1.Cors, allowOrigins: ['*'], maxAge: 5s}}}}
  - path: /cors-lists/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - name: cors
        options:
          {TYPE}.cors.v1.Cors
          allowOrigins: ['*']
          allowMethods: [PATCH]
          allowHeaders: [x-mine]
  - path: /dddd/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - name: rewrite
        options:
          {TYPE}.rewrite.v1.Rewrite
          stripPrefix: /dddd/
          hostRewrite: new.example
          requestHeadersRewrite: {{set: {{x-set: one}}, add: {{x-add: more}}, remove: [x-gone]}}
          responseHeadersRewrite: {{set: {{x-set: one}}, add: {{x-add: more}}, remove: [x-gone]}}
  - path: /strip/*
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: rewrite, options: {{{TYPE}.rewrite.v1.Rewrite, stripPrefix: /strip}}}}
  - path: /whole
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: rewrite, options: {{{TYPE}.rewrite.v1.Rewrite, pathRewrite: /other/path}}}}
  - path: /nothing
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: rewrite, options: {{{TYPE}.rewrite.v1.Rewrite}}}}
  - path: /data
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - name: circuitbreaker
        options:
          {TYPE}.circuitbreaker.v1.CircuitBreaker
          ratio: 0
          responseData: {{statusCode: 202, header: [{{key: x-a, value: ['1', '2']}}], body: aGk=}}
  - path: /refused
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: circuitbreaker, options: {{{TYPE}.circuitbreaker.v1.CircuitBreaker, ratio: 0}}}}
  - path: /all
    timeout: 60s
    backends: [{{target: '%(node)s'}}]
    middlewares:
      - {{name: circuitbreaker, options: {{{TYPE}.circuitbreaker.v1.CircuitBreaker, ratio: 10000}}}}
  - path: /backup
    timeout: 60s
    backends: [{{target: '127.0.0.1:1'}}]
    middlewares:
      - name: circuitbreaker
        options:
          {TYPE}.circuitbreaker.v1.CircuitBreaker
          ratio: 0
          backupService: {{endpoint: {{backends: [{{target: '%(node)s'}}]}}}}
"""
SAID = (
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-Set: old\r\nX-Add: less\r\nX-Gone: 1\r\n"
    b"Access-Control-Allow-Origin: else\r\nContent-Length: 1\r\n\r\nx"
)


def ask(
    both: Both, target: str, *headers: str, method: str = "GET", said: bytes = SAID
) -> set[str]:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]
    return both.ask("\r\n".join(lines).encode(), said) - EVERYWHERE.keys()


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["/cors/a", "/cors-dot/a", "/cors-all/a"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://www.google.com",
        "http://example.org:80",
        "https://youtube.com",
        "https://google.com",
        "https://WWW.GOOGLE.com",
        "https://x.google.com.evil.com",
        "null",
        "nonsense",
    ],
)
def test_origins_are_let_in_alike(both: Both, path: str, origin: str, method: str) -> None:
    asked = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Private-Network: true")
    assert ask(both, path, f"Origin: {origin}", "Content-Length: 0", *asked, method=method) <= {
        "request header content-length",  # of a POST; see "framing" in WANTED
        "request header transfer-encoding",
    }


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_what_comes_from_no_page_is_passed_on_alike(both: Both, method: str) -> None:
    assert ask(both, "/cors/a", method=method) == {"answer header vary"}
    assert "cors nobody" in WANTED


def test_lists_of_cors_and_what_answers_vary_with_differ_for_a_reason(both: Both) -> None:
    origin = "Origin: https://a.example"
    found = ask(both, "/cors-lists/a", origin, method="OPTIONS")
    assert found == {
        "answer header access-control-allow-methods",
        "answer header access-control-allow-headers",
    }
    said = SAID.replace(b"X-Gone: 1", b"Vary: Accept")
    assert ask(both, "/cors-all/a", origin, said=said) == {"answer header vary"}
    assert {"cors lists", "cors vary"} <= WANTED.keys()


@pytest.mark.parametrize(
    "target",
    [
        *("/dddd/api", "/dddd/dddd/api", "/dddd/", "/dddd/a?x=1", "/dddd//a%2Fb//c"),
        *("/strip/api", "/strip/strip/x/", "/strip/", "/strip/%E4%BD%A0", "/whole?x=1", "/nothing"),
    ],
)
def test_paths_and_headers_are_rewritten_alike(both: Both, target: str) -> None:
    assert ask(both, target, "X-Gone: 1", "X-Set: old", "X-Add: less") == set()


def test_the_last_slash_stays_whatever_is_stripped(both: Both) -> None:
    assert ask(both, "/dddd/a/") == {"request line"}
    assert both.requests["kratos"][0].line == "GET /a/ HTTP/1.1"
    assert "last slash" in WANTED


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("target", ["/data", "/refused", "/all", "/backup"])
def test_what_a_breaker_does_is_the_same(both: Both, target: str, method: str) -> None:
    assert (
        ask(both, target, method=method)
        - {
            "request header content-length",
            "request header transfer-encoding",
        }
        == set()
    )


def test_lines_of_the_access_log_have_the_same_fields(both: Both) -> None:
    def fields(line: str) -> set[str]:
        return {part.partition("=")[0] for part in line.split(" ") if "=" in part}

    ask(both, "/nothing?logged=1")
    lines: list[str] = []
    for each in both.by_name.values():
        found = [line for line in each.log.read_text().splitlines() if "logged=1" in line]
        lines.append(found[-1])
    assert "source=accesslog" in lines[0]
    assert fields(lines[0]) == fields(lines[1])
