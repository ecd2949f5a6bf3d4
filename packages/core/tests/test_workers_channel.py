"""What a supervisor and its workers tell each other."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import KratosError
from kratos.limit import cancel_and_wait
from kratos.workers._channel import Channel, receive_first
from kratos.workers._messages import (
    Decoder,
    Failed,
    Finish,
    Leaving,
    Measure,
    Measured,
    Message,
    Published,
    Ready,
    Report,
    Setup,
    Stop,
    encode,
)

NAMES = st.text(max_size=20)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Stop),
    st.builds(Finish),
    st.builds(Ready),
    st.builds(Leaving),
    st.builds(Measure),
    st.builds(Measured, families=st.lists(NAMES, max_size=3)),
    st.builds(Published, topic=NAMES, value=st.lists(NAMES, max_size=3), keep=st.booleans()),
    st.builds(Failed, reason=NAMES, refused=st.booleans()),
    st.builds(Report, ready=st.booleans(), failed=st.dictionaries(NAMES, NAMES, max_size=3)),
    st.builds(
        Setup,
        slot=st.integers(0, 1000),
        id=NAMES,
        registers=st.booleans(),
        path=st.lists(NAMES, max_size=3),
        argv=st.lists(NAMES, max_size=3),
        sockets=st.dictionaries(NAMES, st.integers(0, 1000), max_size=3),
        addresses=st.dictionaries(NAMES, NAMES, max_size=3),
        expected=st.dictionaries(NAMES, NAMES, max_size=3),
    ),
)


def frame(body: object) -> bytes:
    data = json.dumps(body).encode()
    return len(data).to_bytes(4, "big") + data


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 50))
def test_messages_arrive_as_they_were_however_their_bytes_are_cut(
    messages: list[Message], size: int
) -> None:
    data = b"".join(map(encode, messages))
    decoder = Decoder()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert [message for chunk in chunks for message in decoder.feed(chunk)] == messages


def test_what_a_newer_version_says_is_passed_over() -> None:
    data = frame({"kind": "Dance", "partner": 1}) + frame({"kind": "Ready", "since": 3})
    assert list(Decoder().feed(data)) == [Ready()]


@pytest.mark.parametrize(
    "data",
    [
        frame([]),
        frame({"kind": "Failed"}),
        frame({"kind": "Published", "topic": ["a"]}),
        frame({"kind": "Report", "ready": True, "failed": ["a"]}),
        b"\0\0\0\1{",
        b"\xff\xff\xff\xff",
        b"\0\3\r\x40" + b"[" * 200_000,
    ],
    ids=range(7),
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(KratosError, match="came from the other process"):
        list(Decoder().feed(data))


async def test_channel_gives_what_the_other_end_sent_until_that_closes() -> None:
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    await one.open()
    await other.open()
    one.send(Stop())
    one.send(Finish())
    await one.flush()
    one.close()
    assert [message async for message in other.messages()] == [Stop(), Finish()]
    other.close()


async def test_flush_returns_when_the_system_has_taken_all() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours)
        await channel.open()
        while not channel.unread:
            channel.send(Failed(reason="x" * 4096))
        flushing = asyncio.create_task(channel.flush())
        await asyncio.sleep(0)
        assert not flushing.done()
        reading = asyncio.create_task(_read_on(theirs))
        await flushing
        assert channel.unread == 0
        await cancel_and_wait(reading)
        channel.close()


async def _read_on(end: socket.socket) -> None:
    end.setblocking(False)
    while True:
        await asyncio.get_running_loop().sock_recv(end, 65536)


async def test_what_is_sent_to_an_end_that_is_gone_is_lost() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    await channel.open()
    theirs.close()
    channel.send(Stop())
    await channel.flush()
    assert [message async for message in channel.messages()] == []
    channel.close()


def test_first_message_is_read_without_a_loop() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        setup = Setup(slot=1, id="a")
        ours.sendall(encode(setup))
        assert receive_first(theirs) == setup


async def test_what_follows_the_first_message_is_left_to_the_loop() -> None:
    ours, theirs = socket.socketpair()
    setup = Setup(slot=1, id="a", argv=["x" * 100_000])
    sending = asyncio.to_thread(ours.sendall, encode(setup) + encode(Stop()) + encode(Finish()))
    first, _ = await asyncio.gather(asyncio.to_thread(receive_first, theirs), sending)
    assert first == setup
    ours.close()
    rest = Channel(theirs)
    await rest.open()
    assert [message async for message in rest.messages()] == [Stop(), Finish()]
    rest.close()


def test_first_message_of_a_supervisor_that_is_gone_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        with pytest.raises(KratosError, match="gone"):
            receive_first(theirs)
