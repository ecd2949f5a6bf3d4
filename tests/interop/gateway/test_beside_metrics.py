"""The same traffic, the same series: names, labels and values, but for times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from tests.interop.gateway.beside import BOTH, Both, Running
from tests.interop.gateway.node import HANG

pytestmark = [
    pytest.mark.go,
    pytest.mark.slow,
    pytest.mark.outside("KRATOS_GO_GATEWAY_SRC", "Go's gateway"),
]

CONFIG = """
name: both
endpoints:
  - {path: '/plain', backends: [{target: '%(node)s'}], timeout: 60s, protocol: HTTP, method: get}
  - path: '/labelled/*'
    backends: [{target: '%(node)s'}]
    timeout: 60s
    metadata: {service: shop, basePath: /labelled, more: ignored}
  - {path: '/cut', timeout: 0.3s, backends: [{target: '%(node)s'}]}
  - {path: '/dead', timeout: 60s, backends: [{target: '127.0.0.1:1'}], protocol: GRPC}
  - path: '/again'
    timeout: 60s
    backends: [{target: '%(node)s'}]
    retry: {attempts: 3, perTryTimeout: 20s, conditions: [{byStatusCode: 502-504}]}
  - path: '/broken'
    method: POST
    timeout: 60s
    backends: [{target: '%(node)s'}]
    middlewares:
      - name: circuitbreaker
        options:
          '@type': type.googleapis.com/gateway.middleware.circuitbreaker.v1.CircuitBreaker
          ratio: 0
"""
SERIES = re.compile(r"(go_gateway_\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /labelled/1\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nok"

Shown = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(gateway: Running) -> Shown:
    """Return all series but those of which Go's gateway has none until they are more than 0."""
    answer = gateway.get("/metrics")
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    found: Shown = {}
    for line in answer.body.decode().splitlines():
        series = SERIES.fullmatch(line)
        if series and not series[1].endswith(("_sum", "_bucket")) and float(series[3]):
            found[series[1], frozenset(LABEL.findall(series[2]))] = float(series[3])
    return found


def ask(both: Both, target: str, *answers: bytes, method: str = "GET", body: str = "") -> None:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    both.ask(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}".encode(), *answers)


@pytest.fixture(scope="module")
def busy(started: Callable[..., AbstractContextManager[Both]]) -> Iterator[Both]:
    with started(CONFIG) as both:
        for _ in range(3):
            ask(both, "/plain", OK)
        ask(both, "/plain", OK, method="OPTIONS")
        ask(both, "/plain", method="POST", body="x")
        ask(both, "/labelled/1", OK, method="POST", body="four")
        ask(both, "/labelled/2", OK, method="HEAD")
        ask(both, "/labelled/3", MOVED)
        ask(both, "/cut", HANG)
        ask(both, "/dead")
        ask(both, "/again", BUSY, OK)
        ask(both, "/again", BUSY, BUSY, OK, method="PUT", body="four")
        ask(both, "/broken", method="POST", body="four")
        ask(both, "/nowhere")
        ask(both, "/nowhere", method="DELETE")
        yield both


def test_the_same_traffic_makes_the_same_series(busy: Both) -> None:
    go, ours = (shown(busy.by_name[name]) for name in BOTH)
    ours = {key: value for key, value in ours.items() if key[0] != "go_gateway_reloads"}
    assert go == ours
    counted = {name for name, _ in go}
    assert counted == {
        "go_gateway_requests_code_total",
        "go_gateway_requests_duration_seconds_count",
        "go_gateway_requests_tx_bytes",
        "go_gateway_requests_rx_bytes",
        "go_gateway_requests_retry_state",
        "go_gateway_requests_circuit_breaker_denied_total",
        "go_gateway_client_redirect_total",
    }


def test_types_and_buckets_are_the_same(busy: Both) -> None:
    def kinds(gateway: Running) -> tuple[set[str], set[str]]:
        text = gateway.get("/metrics").body.decode()
        types = {line for line in text.splitlines() if line.startswith("# TYPE go_gateway_")}
        buckets = {
            str(float(found[1]))
            for found in re.finditer(r'duration_seconds_bucket\{[^}]*le="([^"]+)"', text)
        }
        return types, buckets

    go, ours = (kinds(busy.by_name[name]) for name in BOTH)
    assert go[1] == ours[1]
    assert go[0] <= ours[0]
