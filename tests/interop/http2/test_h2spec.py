"""h2spec judges the connections of the HTTP server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kratos_gateway.testing import proxied

pytestmark = [pytest.mark.go, pytest.mark.slow]

# Cases of RFC 7540 that RFC 9113 leaves to servers, which have to fail: their number, and why.
CHANGED = {
    "http2/3.5/2": (
        "what begins like no preface is a request of HTTP/1.1 on this port: it is answered 400, "
        "and the connection closed; RFC 9113, 3.4 does without GOAWAY for peers of other protocols"
    ),
}
CASES = 146


@dataclass(frozen=True)
class Served:
    """What is judged, in plain text."""

    host: str
    port: int
    root: None = None


@pytest.fixture(scope="session")
def h2spec(go_tool: Callable[[str], Path]) -> Path:
    """Path of the program."""
    return go_tool("h2spec") / "h2spec"


def failures(report: Path) -> tuple[int, dict[str, str]]:
    """Return the number of cases, and what was seen in those that failed, by their numbers."""
    cases = 0
    failed: dict[str, str] = {}
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), start=1):
            cases += 1
            found = case.find("failure")
            found = case.find("error") if found is None else found
            if found is not None:
                said = re.sub(r"\s+", " ", found.text or "").strip()
                failed[f"{suite.get('package')}/{number}"] = f"{case.get('classname')}: {said}"
    return cases, failed


async def test_all_cases_pass_but_those_that_rfc_9113_changed(
    serve: Any, h2spec: Path, tmp_path: Path
) -> None:
    cases, failed = await judged(serve(), h2spec, tmp_path)
    assert {number: failed[number] for number in failed.keys() - CHANGED.keys()} == {}
    assert failed.keys() == CHANGED.keys()
    assert cases == CASES


@pytest.mark.parametrize(
    "options", [{"tls": True}, {"versions": ("2",)}], ids=["alpn", "nothing but HTTP/2"]
)
async def test_all_cases_pass_where_a_peer_can_mean_nothing_but_http_2(
    serve: Any, options: dict[str, Any], h2spec: Path, tmp_path: Path
) -> None:
    assert await judged(serve(**options), h2spec, tmp_path) == (CASES, {})


async def test_all_cases_pass_at_the_gateway(serve: Any, h2spec: Path, tmp_path: Path) -> None:
    @asynccontextmanager
    async def through() -> AsyncGenerator[Served]:
        async with (
            serve() as served,
            proxied({"path": "/*", "backends": [{"target": served.address}]}) as gateway,
        ):
            yield Served("127.0.0.1", gateway.listening.port)

    cases, failed = await judged(through(), h2spec, tmp_path)
    assert {number: failed[number] for number in failed.keys() - CHANGED.keys()} == {}
    assert failed.keys() == CHANGED.keys()
    assert cases == CASES


async def judged(serving: Any, h2spec: Path, folder: Path) -> tuple[int, dict[str, str]]:
    """Return the number of cases, and what was seen in those that failed, by their numbers."""
    report = folder / "report.xml"
    async with serving as served:
        process = await asyncio.create_subprocess_exec(
            h2spec,
            # The server gives a peer up to two seconds to close a connection that is at its end.
            *("-h", served.host, "-p", str(served.port), "-j", report, "--strict", "-o", "4"),
            *(("-t", "-k") if served.root else ()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert report.exists(), said.decode()
    return failures(report)
