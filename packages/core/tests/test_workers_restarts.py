"""When workers are started again, and when a host is registered."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from aegis.backoff import Backoff
from kratos.workers._restarts import BACKOFF, Quorum, Restarts

STABLE = 10.0
LIVES = st.lists(st.none() | st.floats(min_value=0, max_value=3 * STABLE))


def restarts(seed: int = 1) -> Restarts:
    return Restarts(stable=STABLE, random=random.Random(seed).random)


def test_worker_that_served_is_replaced_at_once() -> None:
    assert restarts().ended(0.1).delay == 0


def test_worker_that_never_served_is_waited_for_and_its_sockets_are_closed() -> None:
    verdict = restarts().ended(None)
    assert verdict.delay > 0
    assert verdict.close


def test_sockets_of_a_worker_that_served_are_kept() -> None:
    assert not restarts().ended(0.1).close


def test_deaths_that_follow_each_other_are_answered_ever_later() -> None:
    slot = Restarts(
        backoff=Backoff(base=1, cap=5, jitter="none"), stable=STABLE, random=random.random
    )
    assert [slot.ended(0.1).delay for _ in range(6)] == [0, 1, 2, 4, 5, 5]


def test_stable_life_forgets_earlier_deaths() -> None:
    slot = restarts()
    for _ in range(5):
        slot.ended(None)
    assert slot.ended(STABLE).delay == 0


@given(LIVES, st.integers())
def test_wait_is_never_longer_than_the_cap(lives: list[float | None], seed: int) -> None:
    slot = restarts(seed)
    assert all(0 <= slot.ended(served).delay <= BACKOFF.cap for served in lives)


@given(LIVES, st.integers())
def test_nothing_is_started_twice_in_a_row_without_a_wait_unless_it_was_stable(
    lives: list[float | None], seed: int
) -> None:
    slot = restarts(seed)
    before: float | None = 0.0
    for number, served in enumerate(lives):
        delay = slot.ended(served).delay
        if number and before == 0 and (served is None or served < STABLE):
            assert delay > 0
        before = delay


class Model:
    """What a quorum has to say, by all that happened."""

    def __init__(self, slots: int) -> None:
        self.ready = dict.fromkeys(range(slots), False)
        self.seen: set[int] = set()


@given(st.data())
def test_host_is_registered_when_all_slots_served_once_and_enough_still_do(
    data: st.DataObject,
) -> None:
    slots = data.draw(st.integers(1, 5))
    least = data.draw(st.integers(1, slots))
    quorum, model = Quorum(slots, least=least), Model(slots)
    for slot, gained in data.draw(
        st.lists(st.tuples(st.integers(0, slots - 1), st.booleans()), max_size=30)
    ):
        if gained:
            quorum.gained(slot)
            model.seen.add(slot)
        else:
            quorum.lost(slot)
        model.ready[slot] = gained
        assert quorum.complete == (model.seen == set(range(slots)))
        assert quorum.ready == sum(model.ready.values())
        assert quorum.met == (quorum.complete and quorum.ready >= least)
