"""Messages between the processes of one application."""

from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos import App
from kratos.bus import MAX_MESSAGE, Bus, Published
from kratos.log import Level
from kratos.testing.log import MemoryLogger

WHO: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@pytest.fixture
def bus(log: MemoryLogger) -> Bus:
    return Bus(log=log)


def test_message_comes_to_those_who_listen_to_its_topic(bus: Bus) -> None:
    heard: list[object] = []
    other: list[object] = []
    bus.subscribe("stale", heard.append)
    bus.subscribe("stale", heard.append)
    bus.subscribe("other", other.append)
    bus.publish("stale", {"key": 1})
    assert heard == [{"key": 1}, {"key": 1}]
    assert other == []


def test_application_without_workers_hears_itself() -> None:
    app = App()
    heard: list[object] = []
    app.bus.subscribe("stale", heard.append)
    app.bus.publish("stale", 1)
    assert heard == [1]


def test_every_listener_gets_a_copy(bus: Bus) -> None:
    value = [1]
    bus.subscribe("list", lambda heard: heard.append(2))
    last: list[object] = []
    bus.subscribe("list", last.append)
    bus.publish("list", value)
    assert (value, last) == ([1], [[1]])


def test_who_has_ended_hears_nothing(bus: Bus) -> None:
    heard: list[object] = []
    end = bus.subscribe("stale", heard.append)
    end()
    end()
    bus.publish("stale")
    assert heard == []


def test_listener_may_end_itself(bus: Bus) -> None:
    heard: list[object] = []

    def once(value: object) -> None:
        heard.append(value)
        end()

    end = bus.subscribe("news", once)
    bus.publish("news", 1)
    bus.publish("news", 2)
    assert heard == [1]


def test_newest_message_that_is_kept_comes_to_who_listens_later(bus: Bus) -> None:
    heard: list[object] = []
    bus.publish("config", 1, keep=True)
    bus.publish("config", 2, keep=True)
    bus.publish("config", 3)
    bus.subscribe("config", heard.append)
    assert heard == [2]


@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError])
def test_listener_that_fails_is_told_and_spoils_nothing(
    error: type[BaseException], bus: Bus, log: MemoryLogger
) -> None:
    heard: list[object] = []

    def fail(_value: object) -> None:
        raise error("no luck today")

    bus.subscribe("stale", fail)
    bus.subscribe("stale", heard.append)
    bus.publish("stale", 1)
    assert heard == [1]
    assert log.messages(Level.ERROR) == ["a listener failed"]


def test_listener_sees_the_context_of_its_subscriber_also_within_another_one(bus: Bus) -> None:
    seen: list[str] = []
    WHO.set("subscriber")
    bus.subscribe("outer", lambda _: bus.publish("inner"))
    bus.subscribe("inner", lambda _: seen.append(WHO.get()))
    WHO.set("publisher")
    bus.publish("outer")
    assert seen == ["subscriber"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (object(), TypeError, "not JSON serializable"),
        (math.nan, ValueError, "JSON"),
        ("x" * MAX_MESSAGE, ValueError, "exceeds"),
    ],
)
def test_what_cannot_be_carried_is_refused_and_reaches_nobody(
    value: object, error: type[Exception], text: str, bus: Bus
) -> None:
    sent: list[Published] = []
    bus.connect(sent.append)
    bus.subscribe("stale", lambda _: sent.append(Published(topic="heard")))
    with pytest.raises(error, match=text):
        bus.publish("stale", value)
    assert sent == []


def test_what_is_published_here_is_passed_on_and_what_comes_is_not(bus: Bus) -> None:
    sent: list[Published] = []
    bus.connect(sent.append)
    bus.deliver(Published(topic="stale", value=1))
    assert sent == []
    bus.publish("stale", 2)
    assert sent == [Published(topic="stale", value=2)]


def test_value_that_cannot_be_sent_is_told_with_its_topic(bus: Bus) -> None:
    with pytest.raises(TypeError, match=r"a message for 'stale' cannot be sent: .*object"):
        bus.publish("stale", object())
    with pytest.raises(ValueError, match="a message for 'stale' cannot be sent"):
        bus.publish("stale", math.nan)


async def later(value: object) -> None:
    raise AssertionError(value)


@pytest.mark.parametrize("listener", [later, "forget"])
def test_listener_that_cannot_be_called_at_once_is_refused(bus: Bus, listener: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot listen to 'stale': .* App\.spawn"):
        bus.subscribe("stale", listener)


class Host:
    """A supervisor and its workers, between which messages travel when a test says so."""

    def __init__(self, workers: int) -> None:
        self.order = Bus()
        self.workers = [Bus() for _ in range(workers)]
        self.heard: list[list[object]] = [[] for _ in self.workers]
        self.up: list[list[Published]] = [[] for _ in self.workers]
        self.down: list[list[Published]] = [[] for _ in self.workers]
        for number, worker in enumerate(self.workers):
            worker.subscribe("topic", self.heard[number].append)
            worker.connect(self.up[number].append, confirmed=True)

    def carry_up(self, number: int) -> None:
        """As ``kratos.workers`` does with what a worker has published."""
        if not self.up[number]:
            return
        message = self.up[number].pop(0)
        of_another = replace(message, number=0)
        self.order.deliver(of_another)
        for other, queue in enumerate(self.down):
            queue.append(message if other == number else of_another)

    def carry_down(self, number: int) -> None:
        if self.down[number]:
            self.workers[number].deliver(self.down[number].pop(0))

    def settle(self) -> None:
        for number in range(len(self.workers)):
            while self.up[number]:
                self.carry_up(number)
        for number in range(len(self.workers)):
            while self.down[number]:
                self.carry_down(number)


@given(
    st.lists(st.tuples(st.sampled_from(["publish", "carry_up", "carry_down"]), st.integers(0, 2)))
)
def test_what_is_kept_is_the_same_everywhere_in_whichever_order_messages_travel(
    steps: list[tuple[str, int]],
) -> None:
    host = Host(3)
    for value, (step, number) in enumerate(steps):
        if step == "publish":
            host.workers[number].publish("topic", value, keep=True)
            assert host.heard[number][-1] == value
        else:
            getattr(host, step)(number)
    host.settle()
    (newest,) = {message.value for message in host.order.kept()} or {None}
    for worker, heard in zip(host.workers, host.heard, strict=True):
        assert [message.value for message in worker.kept()] == ([] if newest is None else [newest])
        assert heard[-1:] == ([] if newest is None else [newest])


def test_own_message_that_nobody_has_overtaken_is_heard_once() -> None:
    host = Host(2)
    host.workers[0].publish("topic", 1, keep=True)
    host.workers[0].publish("topic", 2, keep=True)
    host.settle()
    assert host.heard == [[1, 2], [1, 2]]


def test_own_message_that_comes_after_that_of_another_is_heard_again() -> None:
    host = Host(2)
    host.workers[0].publish("topic", "first", keep=True)
    host.workers[1].publish("topic", "second", keep=True)
    host.settle()
    assert host.heard == [["first", "second"], ["second", "first", "second"]]
