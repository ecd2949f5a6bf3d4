from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import RoundSubsetter, Subsetter


def names(count: int) -> list[str]:
    return [f"10.0.{number // 256}.{number % 256}:9000" for number in range(count)]


def moved(before: RoundSubsetter[str], after: RoundSubsetter[str], *, size: int) -> float:
    """Return the share of places that changed hands, over 600 clients."""
    changed = sum(
        len(set(before.pick(client, size=size)) - set(after.pick(client, size=size)))
        for client in range(600)
    )
    return changed / (600 * size)


def test_all_backends_get_the_same_load_from_whole_rounds() -> None:
    subsetter = RoundSubsetter(names(400))

    load = Counter(name for client in range(8000) for name in subsetter.pick(client, size=25))

    assert set(load.values()) == {500}
    assert len(load) == 400


def test_what_a_round_leaves_over_is_other_backends_each_time() -> None:
    subsetter = RoundSubsetter(names(103))

    load = Counter(name for client in range(400) for name in subsetter.pick(client, size=25))

    assert sum(load.values()) == 400 * 25
    assert min(load.values()) > 0.9 * 400 * 25 / 103


@given(
    count=st.integers(2, 40), size=st.integers(1, 12), clients=st.integers(1, 60), data=st.data()
)
def test_loads_differ_by_no_more_than_the_rounds_begun(
    count: int, size: int, clients: int, data: st.DataObject
) -> None:
    members = data.draw(st.permutations(names(count)))
    subsetter = RoundSubsetter(members)
    load = Counter(dict.fromkeys(members, 0))
    for client in range(clients):
        picked = subsetter.pick(client, size=size)
        assert len(picked) == len(set(picked)) == min(size, count)
        load.update(picked)

    per_round = max(1, count // size)
    rounds = -(-clients // per_round)
    most, least = max(load.values()), min(load.values())
    assert most <= rounds
    assert most - least <= (1 if count % size == 0 else rounds)


def test_order_of_the_list_does_not_matter() -> None:
    one, other = RoundSubsetter(names(60)), RoundSubsetter(names(60)[::-1])

    assert [one.pick(n, size=7) for n in range(50)] == [other.pick(n, size=7) for n in range(50)]


def test_subsets_stay_the_same_from_release_to_release() -> None:
    subsetter = RoundSubsetter(names(9))

    picked = [[name[7] for name in subsetter.pick(n, size=3)] for n in range(4)]

    assert ["".join(digits) for digits in picked] == ["781", "564", "320", "814"]


def test_losing_a_backend_moves_about_one_place_of_each_client() -> None:
    before, after = RoundSubsetter(names(110)), RoundSubsetter(names(110)[:-1])

    assert moved(before, after, size=25) < 1.5 / 25


def test_a_new_number_of_subsets_per_round_moves_most_places() -> None:
    before, after = RoundSubsetter(names(100)), RoundSubsetter(names(99))

    assert moved(before, after, size=25) > 0.5


def test_numbered_clients_are_spread_more_evenly_than_on_a_ring() -> None:
    rounds, ring = RoundSubsetter(names(200)), Subsetter(names(200))
    even = Counter(name for n in range(400) for name in rounds.pick(n, size=10))
    uneven = Counter(name for n in range(400) for name in ring.pick(f"client-{n}", size=10))

    assert max(even.values()) == min(even.values()) == 20
    assert max(uneven.values()) > 25


@pytest.mark.parametrize("size", [3, 9, 0, -1])
def test_list_that_is_not_longer_than_the_size_comes_back_itself(size: int) -> None:
    members = ["a", "b", "a"]

    assert RoundSubsetter(members).pick(5, size=size) is members


def test_members_of_equal_text_count_once() -> None:
    subsetter = RoundSubsetter([1, 2, 3, 4, 5, 6], text=lambda member: str(member % 3))

    assert sorted(subsetter.pick(0, size=3)) == [1, 2, 3]
    assert sorted(subsetter.pick(4, size=4)) == [1, 2, 3]


def test_negative_client_is_refused() -> None:
    with pytest.raises(ValueError, match="client must be at least 0, got -1"):
        RoundSubsetter(["a"]).pick(-1)
