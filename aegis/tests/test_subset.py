"""Golden values come from Go: aegis ``subset`` and Kratos v3 ``internal/subset``."""

from __future__ import annotations

import random
import string
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Subsetter, subset


@dataclass(frozen=True)
class Member:
    name: str
    id: str

    def __str__(self) -> str:
        return f"{self.name}-{self.id}"


@pytest.mark.parametrize(
    ("key", "expected"),
    [("key", ["svc-id1", "svc-id5", "svc-id0"]), ("c0ffee", ["svc-id2", "svc-id3", "svc-id5"])],
)
def test_subset_of_instances_agrees_with_go(key: str, expected: list[str]) -> None:
    members = [Member("svc", f"id{i}") for i in range(6)]

    assert [str(member) for member in subset(key, members, size=3)] == expected


@pytest.mark.parametrize(
    ("members", "key", "size", "expected"),
    [(["a", "b", "c", "d"], "key", 2, ["a", "b"]), (["2", "2", "2", "3"], "1", 3, ["2", "3"])],
)
def test_subset_of_texts_agrees_with_go(
    members: list[str], key: str, size: int, expected: list[str]
) -> None:
    assert list(subset(key, members, size=size)) == expected


@pytest.mark.parametrize("size", [3, 4, 0, -1])
def test_list_that_is_not_longer_than_the_size_comes_back_itself(size: int) -> None:
    members = ["a", "a", "b"]

    assert subset("key", members, size=size) is members


def test_the_first_of_equal_texts_stands_for_them() -> None:
    first, second, third = Member("s", "1"), Member("s", "1"), Member("s", "2")

    picked = subset("key", [first, second, third], size=2)

    assert {id(member) for member in picked} == {id(first), id(third)}


def test_text_of_a_member_may_be_chosen() -> None:
    by_id = Subsetter(list(range(30)), text=lambda member: f"node-{member}")

    named = Subsetter([f"node-{i}" for i in range(30)])

    assert [f"node-{i}" for i in by_id.pick("k", size=4)] == list(named.pick("k", size=4))


def test_every_backend_gets_its_share_of_the_clients() -> None:
    source = random.Random(20)
    subsetter = Subsetter([f"backend-{i}" for i in range(400)])
    clients = ["".join(source.choices(string.ascii_letters, k=12)) for _ in range(8000)]

    load = Counter(name for client in clients for name in subsetter.pick(client, size=25))

    assert sum(load.values()) == 8000 * 25
    assert len(load) == 400
    assert max(load.values()) <= 600


def test_losing_one_backend_moves_about_its_own_share() -> None:
    names = [f"backend-{i}" for i in range(400)]
    before, after = Subsetter(names), Subsetter(names[:-1])

    changed = sum(
        len(set(before.pick(client)) - set(after.pick(client)))
        for client in (f"client-{i}" for i in range(4000))
    )

    assert changed / (4000 * 25) < 0.005


@given(
    members=st.lists(st.text(max_size=6), max_size=30),
    key=st.text(max_size=6),
    size=st.integers(1, 12),
)
def test_subset_holds_distinct_members_of_the_list(members: list[str], key: str, size: int) -> None:
    picked = subset(key, members, size=size)

    assert set(picked) <= set(members)
    if len(members) > size:
        assert len(picked) == len(set(picked)) == min(size, len(set(members)))
