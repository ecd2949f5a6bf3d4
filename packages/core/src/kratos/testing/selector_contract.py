"""What every selector has to show, whatever its strategy.

Subclass ``SelectorContract`` in a test module and give it a fixture ``build``, which returns what
makes a fresh selector. Needs pytest and hypothesis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.selector import Node, Outcome, Pick, Selector, version
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

__all__ = ["SelectorContract"]

_ROUNDS: Final = 400
_SHARE: Final = _ROUNDS // 5  # what each of two equal nodes gets at least, whatever the chance

_ADDRESSES = st.sampled_from([f"10.0.0.{last}:80" for last in range(8)])
_OUTCOMES = st.sampled_from([Outcome.SUCCESS, Outcome.failure(), Outcome.CANCELLED])


def _node(address: str, *, weight: int | None = None, version: str = "") -> Node:
    return Node(scheme="http", address=address, weight=weight, version=version)


_NODES = st.builds(_node, _ADDRESSES, weight=st.none() | st.integers(-5, 500))


def _call() -> Call:
    return Call(ECHO, side=Side.CLIENT, transport="test")


def _shares(selector: Selector, outcome: Outcome = Outcome.SUCCESS) -> Counter[str]:
    """Make calls one after the other, and count where they go."""
    shares = Counter[str]()
    for _ in range(_ROUNDS):
        pick = selector.select(_call())
        shares[pick.node.address] += 1
        pick.done(outcome)
    return shares


class SelectorContract:
    """What a selector has to show. Provide a fixture ``build``."""

    # --- no node

    def test_before_any_set_there_is_no_node(self, build: Callable[[], Selector]) -> None:
        with pytest.raises(Error) as refused:
            build().select(_call())
        error = refused.value
        assert (error.code, error.reason, error.message) == (503, "no_available_node", "")

    def test_empty_set_has_no_node(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1")])
        selector.apply([])
        with pytest.raises(Error) as refused:
            selector.select(_call())
        assert (refused.value.code, refused.value.reason) == (503, "no_available_node")

    def test_set_may_be_filled_again(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1")])
        selector.apply([])
        selector.apply([_node("b:1")])
        assert selector.select(_call()).node.address == "b:1"

    # --- the set

    @given(
        sets=st.lists(st.lists(_NODES, max_size=8), max_size=8),
        avoided=st.sets(_ADDRESSES),
        outcomes=st.lists(_OUTCOMES, min_size=1, max_size=16),
    )
    @settings(
        database=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    def test_picks_are_of_the_set_in_force_and_reports_harm_nothing(
        self,
        build: Callable[[], Selector],
        sets: list[list[Node]],
        avoided: set[str],
        outcomes: list[Outcome],
    ) -> None:
        selector = build()
        open_picks: list[Pick] = []
        for turn, nodes in enumerate(sets):
            selector.apply(nodes)
            for avoid in ((), avoided):
                try:
                    pick = selector.select(_call(), avoid=avoid)
                except Error:
                    assert not nodes
                    continue
                assert pick.node in nodes
                open_picks.append(pick)
            if turn % 2 and open_picks:
                open_picks.pop(0).done(outcomes[turn % len(outcomes)])
        for number, pick in enumerate(open_picks):
            pick.done(outcomes[number % len(outcomes)])
            pick.done(outcomes[-1])

    def test_every_node_gets_calls(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1"), _node("b:1"), _node("c:1")])
        assert _shares(selector).keys() == {"a:1", "b:1", "c:1"}

    def test_address_that_is_listed_twice_counts_once(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1", version="first"), _node("a:1", version="second")])
        assert {selector.select(_call()).node.version for _ in range(20)} == {"first"}

    def test_changed_node_is_picked_as_it_is_now(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1", version="old")])
        selector.select(_call()).done(Outcome.SUCCESS)
        selector.apply([_node("a:1", version="new")])
        assert selector.select(_call()).node.version == "new"

    def test_list_that_was_applied_is_not_kept(self, build: Callable[[], Selector]) -> None:
        nodes = [_node("a:1")]
        selector = build()
        selector.apply(nodes)
        nodes[0] = _node("evil:1")
        assert selector.select(_call()).node.address == "a:1"
        nodes.clear()
        assert selector.select(_call()).node.address == "a:1"

    def test_applying_the_same_set_again_and_again_changes_no_shares(
        self, build: Callable[[], Selector]
    ) -> None:
        """Statistics stay: a strategy that began anew each time would favour the first node."""
        selector, nodes = build(), [_node("a:1"), _node("b:1")]
        shares = Counter[str]()
        for _ in range(_ROUNDS):
            selector.apply(nodes)
            pick = selector.select(_call())
            shares[pick.node.address] += 1
            pick.done(Outcome.SUCCESS)
        assert min(shares["a:1"], shares["b:1"]) >= _SHARE

    # --- reports

    def test_pick_of_a_removed_node_may_still_report(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1")])
        pick = selector.select(_call())
        selector.apply([_node("b:1")])
        pick.done(Outcome.failure(Error(503)))
        assert selector.select(_call()).node.address == "b:1"

    def test_reports_after_the_first_change_nothing(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1"), _node("b:1")])
        for pick in [selector.select(_call()) for _ in range(20)]:
            pick.done(Outcome.SUCCESS)
            for _ in range(50):
                pick.done(Outcome.failure(Error(503)))
        shares = _shares(selector)
        assert min(shares["a:1"], shares["b:1"]) >= _SHARE

    def test_cancelled_calls_free_their_place_and_are_held_against_nobody(
        self, build: Callable[[], Selector]
    ) -> None:
        selector = build()
        selector.apply([_node("a:1"), _node("b:1")])
        shares = _shares(selector, Outcome.CANCELLED)
        assert min(shares["a:1"], shares["b:1"]) >= _SHARE

    # --- avoiding

    def test_avoided_node_is_not_picked_while_there_is_another(
        self, build: Callable[[], Selector]
    ) -> None:
        selector = build()
        selector.apply([_node("a:1"), _node("b:1")])
        picked = {selector.select(_call(), avoid={"a:1"}).node.address for _ in range(20)}
        assert picked == {"b:1"}

    def test_avoided_node_is_picked_when_it_is_the_only_one(
        self, build: Callable[[], Selector]
    ) -> None:
        selector = build()
        selector.apply([_node("a:1")])
        assert selector.select(_call(), avoid=["a:1"]).node.address == "a:1"

    # --- filters

    def test_filter_that_leaves_nothing_is_named(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1", version="v1")])
        with pytest.raises(Error, match=r"version\('v2'\) leaves none of the 1 nodes") as refused:
            selector.select(_call(), filters=[version("v2")])
        assert (refused.value.code, refused.value.reason) == (503, "no_available_node")

    def test_filter_leaves_the_nodes_that_it_returns(self, build: Callable[[], Selector]) -> None:
        selector = build()
        selector.apply([_node("a:1", version="v1"), _node("b:1", version="v2")])
        picked = {selector.select(_call(), filters=[version("v2")]).node.address for _ in range(20)}
        assert picked == {"b:1"}

    def test_filters_run_in_order_each_on_what_the_one_before_left(
        self, build: Callable[[], Selector]
    ) -> None:
        seen: list[list[str]] = []

        def drop_first(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
            seen.append([each.address for each in nodes])
            return nodes[1:]

        selector = build()
        selector.apply([_node("a:1"), _node("b:1"), _node("c:1")])
        pick = selector.select(_call(), filters=[drop_first, drop_first])
        assert seen == [["a:1", "b:1", "c:1"], ["b:1", "c:1"]]
        assert pick.node.address == "c:1"

    def test_filter_is_given_the_call(self, build: Callable[[], Selector]) -> None:
        def by_header(call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
            return [each for each in nodes if each.address == call.headers.get("x-pin")]

        selector = build()
        selector.apply([_node("a:1"), _node("b:1")])
        pinned = _call()
        pinned.headers.add("x-pin", "b:1")
        assert selector.select(pinned, filters=[by_header]).node.address == "b:1"

    def test_node_that_a_filter_made_up_is_not_picked(self, build: Callable[[], Selector]) -> None:
        def made_up(_call: Call, _nodes: Sequence[Node]) -> Sequence[Node]:
            return [_node("evil:1")]

        selector = build()
        selector.apply([_node("a:1")])
        with pytest.raises(Error, match="leaves none of the 1 nodes"):
            selector.select(_call(), filters=[made_up])

    def test_failing_filter_is_the_callers_affair_and_breaks_nothing(
        self, build: Callable[[], Selector]
    ) -> None:
        def fail(_call: Call, _nodes: Sequence[Node]) -> Sequence[Node]:
            raise LookupError("no such zone")

        selector = build()
        selector.apply([_node("a:1"), _node("b:1")])
        for _ in range(20):
            with pytest.raises(LookupError, match="no such zone"):
                selector.select(_call(), filters=[fail])
        shares = _shares(selector)
        assert min(shares["a:1"], shares["b:1"]) >= _SHARE
