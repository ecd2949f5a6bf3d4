"""Golden values come from Go: aegis v0.2 ``internal/consistent``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Ring
from aegis._hash import crc32, crc32_points, fnv1a, fnv1a_points

SMALL = {"A": "abcdefg", "H": "hijklmn", "O": "opqrstu"}
BACKENDS = [f"10.0.0.{i}:9000" for i in range(10)]


@pytest.mark.parametrize(
    ("key", "hashed", "order"),
    [
        ("ggg", 1270025516, "AHO"),
        ("hhh", 1472744271, "OHA"),
        ("iiiii", 3547964181, "HOA"),
        ("99999999", 3121059754, "AHO"),
        ("9999999", 3637239787, "OAH"),
        ("", 0, "AHO"),
        ("a", 3904355907, "AOH"),
        ("hello", 907060870, "AHO"),
        ("kratos", 2884168337, "OAH"),
    ],
)
def test_crc32_ring_agrees_with_go(key: str, hashed: int, order: str) -> None:
    ring = Ring(SMALL.values())

    assert crc32(key.encode()) == hashed
    assert ring.get_n(key, 3) == tuple(SMALL[letter] for letter in order)
    assert ring.get(key) == SMALL[order[0]]


@pytest.mark.parametrize(
    ("key", "hashed", "order"),
    [
        ("client-0", 3153635963, [6, 9, 5]),
        ("client-1", 3136858344, [7, 2, 8]),
        ("client-2", 3187191201, [1, 8, 4]),
        ("order-service", 1556212517, [5, 2, 4]),
        ("hostname-abc", 559782669, [0, 1, 9]),
        ("", 2166136261, [6, 3, 5]),
        ("key", 1746258028, [2, 7, 0]),
    ],
)
def test_fnv1a_ring_agrees_with_go(key: str, hashed: int, order: list[int]) -> None:
    ring = Ring(BACKENDS, replicas=160, algorithm="fnv1a")

    assert fnv1a(key.encode()) == hashed
    assert ring.get_n(key, 3) == tuple(BACKENDS[i] for i in order)


def test_key_of_a_removed_member_moves_to_the_next_one() -> None:
    assert Ring(["abcdefg", "opqrstu"]).get("iiiii") == "opqrstu"


def test_colliding_members_give_one_answer_in_either_order() -> None:
    one, other = Ring(["abear", "solidiform"]), Ring(["solidiform", "abear"])

    assert one.get("abear") == other.get("abear")


def test_repeated_members_count_once() -> None:
    ring = Ring(["b", "a", "b"])

    assert ring.members == ("b", "a")
    assert len(ring) == 2


def test_get_n_gives_every_member_once_when_more_are_wanted() -> None:
    assert sorted(Ring(["a", "b", "c"]).get_n("x", 5)) == ["a", "b", "c"]


@pytest.mark.parametrize("wanted", [0, -1])
@pytest.mark.parametrize("key", [str(i) for i in range(20)])
def test_get_n_of_nothing_is_nothing_wherever_the_key_falls(key: str, wanted: int) -> None:
    assert Ring(["a"], replicas=1).get_n(key, wanted) == ()


def test_empty_ring_has_no_owner_and_no_members() -> None:
    ring = Ring([])

    assert ring.get_n("key", 2) == ()
    with pytest.raises(LookupError, match="no members"):
        ring.get("key")


def test_key_above_the_last_point_belongs_to_the_lowest_point() -> None:
    ring = Ring(["only", "other"], replicas=1)
    lowest = min(["only", "other"], key=lambda member: crc32(b"0" + member.encode()))
    highest_point = max(crc32(b"0only"), crc32(b"0other"))
    key = next(text for i in range(1000) if crc32((text := f"k{i}").encode()) >= highest_point)

    assert ring.get(key) == lowest


def test_key_on_a_point_belongs_to_the_next_point() -> None:
    ring = Ring(["a", "b"], replicas=1)

    assert ring.get("0a") == "b"
    assert ring.get("0b") == "a"


@pytest.mark.parametrize("replicas", [0, -3])
def test_ring_without_points_is_refused(replicas: int) -> None:
    with pytest.raises(ValueError, match="replica"):
        Ring(["a"], replicas=replicas)


def test_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="md5"):
        Ring(["a"], algorithm="md5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_texts_that_utf8_cannot_hold_are_hashed_all_the_same() -> None:
    assert Ring(["\ud800", "b"]).get("\udfff") in {"\ud800", "b"}


@given(member=st.binary(max_size=40), replicas=st.integers(1, 170))
def test_points_of_all_replicas_equal_the_hashes_of_each(member: bytes, replicas: int) -> None:
    texts = [str(i).encode() + member for i in range(replicas)]

    assert fnv1a_points(member, replicas) == tuple(map(fnv1a, texts))
    assert crc32_points(member, replicas) == tuple(map(crc32, texts))


@given(
    members=st.lists(st.text(max_size=8), min_size=1, max_size=12, unique=True),
    key=st.text(max_size=8),
    wanted=st.integers(0, 14),
)
def test_shorter_answers_are_prefixes_of_longer_ones(
    members: list[str], key: str, wanted: int
) -> None:
    ring = Ring(members, replicas=8, algorithm="fnv1a")
    everything = ring.get_n(key, len(members))

    assert ring.get_n(key, wanted) == everything[:wanted]
    assert sorted(everything) == sorted(members)
    assert ring.get(key) == everything[0]


@given(
    members=st.lists(st.text(max_size=8), min_size=2, max_size=12, unique=True),
    key=st.text(max_size=8),
)
def test_keys_of_other_members_stay_when_one_goes(members: list[str], key: str) -> None:
    before = Ring(members, replicas=8, algorithm="fnv1a").get(key)
    gone = next(member for member in members if member != before)
    points = {point for member in members for point in fnv1a_points(member.encode(), 8)}
    if len(points) < 8 * len(members):
        return  # a shared point changes hands: the law holds for rings without collisions

    assert Ring([m for m in members if m != gone], replicas=8, algorithm="fnv1a").get(key) == before
