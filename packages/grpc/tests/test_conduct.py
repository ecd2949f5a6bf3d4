"""What a server of our own demands of connections, without any."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from kratos.transport import Cause
from kratos_grpc import ServerLimits
from kratos_grpc._conduct import GrpcConduct


class Timer(asyncio.TimerHandle):
    """A timer of a loop whose time is set."""

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback = callback
        self.over = False

    def cancel(self) -> None:
        self.over = True


class Loop:
    """A loop whose time is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    @property
    def timers(self) -> list[Timer]:
        return [each for each in self._timers if not each.over]

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        self._timers.append(Timer(self.now + delay, callback))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.now += seconds
        for each in [each for each in self.timers if each.due <= self.now]:
            each.over = True
            each.callback()


class Connection:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def leave(self) -> None:
        self.done.append("leave")

    def expel(self, why: bytes, /) -> None:
        self.done.append(why)

    def cancel(self, cause: Cause, /) -> None:
        self.done.append(cause)

    def abort(self) -> None:
        self.done.append("abort")


def governed(limits: ServerLimits) -> tuple[GrpcConduct, Connection, Loop]:
    connection, loop = Connection(), Loop()
    conduct = GrpcConduct(connection, limits, grace=1.0, loop=loop, chance=random.Random(7))
    return conduct, connection, loop


def test_pings_at_the_interval_are_borne_for_ever() -> None:
    conduct, connection, loop = governed(ServerLimits(min_ping_interval=5.0))
    for _ in range(100):
        conduct.on_ping()
        loop.advance(5.0)
    assert connection.done == []


def test_pings_that_come_too_soon_end_the_connection_after_two_strikes() -> None:
    conduct, connection, loop = governed(ServerLimits(min_ping_interval=5.0))
    for _ in range(3):
        conduct.on_ping()
        loop.advance(4.9)
    assert connection.done == []
    conduct.on_ping()
    assert connection.done == [b"too_many_pings"]


def test_answers_take_strikes_back() -> None:
    conduct, connection, _ = governed(ServerLimits(min_ping_interval=5.0))
    for _ in range(100):
        conduct.on_ping()
        conduct.on_ping()
        conduct.on_answer()
    assert connection.done == []


def test_connection_that_is_too_old_is_sent_away_and_cut_off_after_the_grace() -> None:
    limits = ServerLimits(max_connection_age=100.0, max_connection_age_grace=10.0)
    _, connection, loop = governed(limits)
    loop.advance(89.9)
    assert connection.done == []
    loop.advance(20.2)
    assert connection.done == ["leave"]
    loop.advance(10.0)
    assert connection.done == ["leave", Cause.AGED]
    loop.advance(1.0)
    assert connection.done == ["leave", Cause.AGED, "abort"]


def test_calls_of_an_old_connection_may_last_where_there_is_no_grace() -> None:
    _, connection, loop = governed(ServerLimits(max_connection_age=100.0))
    loop.advance(1e9)
    assert connection.done == ["leave"]
    assert loop.timers == []


@pytest.mark.parametrize("elapsed", [0.0, 120.0, 131.0])
def test_connection_that_ended_has_no_timer(elapsed: float) -> None:
    limits = ServerLimits(max_connection_age=100.0, max_connection_age_grace=10.0)
    conduct, _, loop = governed(limits)
    if elapsed:
        loop.advance(elapsed)
    conduct.close()
    assert loop.timers == []


def test_ages_differ_by_a_tenth_each_way() -> None:
    chance, ages = random.Random(7), list[float]()
    for _ in range(200):
        loop = Loop()
        limits = ServerLimits(max_connection_age=100.0)
        GrpcConduct(Connection(), limits, grace=1.0, loop=loop, chance=chance)
        ages.append(loop.timers[0].due)
    assert 90 <= min(ages) < 93
    assert 107 < max(ages) <= 110


def test_connection_without_an_age_has_no_timer() -> None:
    assert governed(ServerLimits())[2].timers == []
