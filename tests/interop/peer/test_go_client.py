"""A Go Kratos client calls services of ours over gRPC."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.go, pytest.mark.slow]

CHECKS = [
    "headers",
    "metadata",
    "refused",
    "fails_at_open",
    "fails_late",
    "deadline_seen",
    "cancelled",
    "deadline_kept",
]
ARITIES = ["single", "gather", "feed", "talk"]
EXPECTED = {
    *(f"{arity}_{check}" for arity in ARITIES for check in CHECKS),
    "relay",
    "relay_fails",
} - {"single_fails_late"}


async def test_all_arities_with_middleware_headers_errors_deadlines_and_cancellation(
    ours: Any, theirs: Any, go_peer: Any
) -> None:
    async with ours() as address, theirs() as following:
        checks = await go_peer("client", address, following)
    assert {check["case"] for check in checks} == EXPECTED
    assert [check for check in checks if check["detail"]] == []


async def test_time_limit_of_our_server_ends_a_call_that_has_none(ours: Any, go_peer: Any) -> None:
    async with ours(timeout=0.2) as address:
        assert await go_peer("limit", address, "") == [{"case": "limit", "detail": ""}]


async def test_calls_are_spread_evenly_over_a_list_of_our_servers(ours: Any, go_peer: Any) -> None:
    async with ours("a") as first, ours("b") as second:
        (servers,) = await go_peer("spread", f"direct:///{first},{second}", "10")
    assert sorted(servers) == ["a"] * 5 + ["b"] * 5
