"""Messages between the processes of one application."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import Any

import pytest

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


def test_listener_that_fails_is_told_and_spoils_nothing(bus: Bus, log: MemoryLogger) -> None:
    heard: list[object] = []

    def fail(_value: object) -> None:
        raise LookupError("no luck today")

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
