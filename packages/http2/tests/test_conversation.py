"""Our client and our server talk in random pieces: all arrives, and nothing is left of it."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from packages.http2.tests.peers.wire import ANSWER, REQUEST, TRAILERS, Side

from kratos_http2 import ClientConnection, ErrorCode, Settings, Stream, frames
from kratos_http2.frames import Setting

SMALL = Settings(stream_window=1000, connection_window=65_535, max_streams=5)
SIZES = st.sampled_from([0, 1, 10, 999, 1000, 1001, 5000, 20_000, 70_000])


class Half:
    """One side of a stream, as its owner sees it."""

    def __init__(self, side: Side, stream: Stream) -> None:
        self.side = side
        self.stream = stream
        self.sent = 0
        self.received = 0
        self.unread = 0
        self.broken = False

    def take(self, data: bytes) -> None:
        first = self.received % 251
        expected = (bytes(range(251)) * (len(data) // 251 + 2))[first : first + len(data)]
        assert data == expected
        self.received += len(data)
        self.unread += len(data)

    def send(self, size: int, *, end: bool) -> None:
        first = self.sent % 251
        data = (bytes(range(251)) * (size // 251 + 2))[first : first + size]
        self.side.connection.send_data(self.stream, data, end=end)
        self.sent += size

    def read(self, size: int) -> None:
        size = min(size, self.unread)
        self.unread -= size
        self.side.connection.consumed(self.stream, size)


class Conversation(RuleBasedStateMachine):
    """Everything that owners do, in any order, over a transport that cuts at will."""

    def __init__(self) -> None:
        super().__init__()
        self.client, self.server = Side("client", settings=SMALL), Side("server", settings=SMALL)
        self.client.then, self.server.then = self.on_client, self.on_server
        self.client.receive(
            frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1000)]), frames.settings([])
        )
        self.server.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1000)]))
        for side in (self.client, self.server):  # they have met others in the handshake
            side.connection.take()
        self.halves: dict[tuple[str, int], Half] = {}
        self.ways = {"client": b"", "server": b""}  # what is on its way to whom
        self.held = {"client": False, "server": False}

    def side(self, name: str) -> Side:
        return self.client if name == "client" else self.server

    def on_client(self, name: str, *arguments: Any) -> None:
        self.note("client", name, *arguments)

    def on_server(self, name: str, *arguments: Any) -> None:
        if name == "headers":
            stream = arguments[0]
            self.halves["server", stream.id] = Half(self.server, stream)
            self.server.connection.send_headers(stream, ANSWER)
        else:
            self.note("server", name, *arguments)

    def note(self, side: str, name: str, *arguments: Any) -> None:
        assert name not in {"fault", "stream_error"}, arguments
        if name == "data":
            self.halves[side, arguments[0].id].take(arguments[1])
        elif name == "reset":
            self.halves[side, arguments[0].id].broken = True

    def pick(self, number: int) -> Half | None:
        able = [each for each in self.halves.values() if not each.stream.closed]
        return able[number % len(able)] if able else None

    @rule(end=st.booleans())
    def open(self, end: bool) -> None:
        connection = self.client.connection
        assert isinstance(connection, ClientConnection)
        if connection.room and len(connection.streams) < 5:
            stream = connection.request(REQUEST, end=end)
            self.halves["client", stream.id] = Half(self.client, stream)

    @rule(number=st.integers(0, 9), size=SIZES, end=st.booleans())
    def send(self, number: int, size: int, end: bool) -> None:
        half = self.pick(number)
        if half is not None and not half.stream.sent_end:
            half.send(size, end=end)

    @rule(number=st.integers(0, 9))
    def send_trailers(self, number: int) -> None:
        half = self.pick(number)
        if half is not None and not half.stream.sent_end:
            half.side.connection.send_trailers(half.stream, TRAILERS)

    @rule(number=st.integers(0, 9), size=SIZES)
    def read(self, number: int, size: int) -> None:
        half = self.pick(number)
        if half is not None:
            half.read(size)

    @rule(number=st.integers(0, 9))
    def reset(self, number: int) -> None:
        half = self.pick(number)
        if half is not None:
            half.broken = True
            half.side.connection.reset(half.stream, ErrorCode.CANCEL)

    @rule(name=st.sampled_from(["client", "server"]))
    def hold_or_resume(self, name: str) -> None:
        connection = self.side(name).connection
        (connection.resume if self.held[name] else connection.hold)()
        self.held[name] = not self.held[name]

    @rule(name=st.sampled_from(["client", "server"]))
    def ping(self, name: str) -> None:
        self.side(name).connection.ping(b"12345678")

    @rule(name=st.sampled_from(["client", "server"]), size=st.sampled_from([1, 5, 100, 9000]))
    def deliver(self, name: str, size: int) -> None:
        other = "server" if name == "client" else "client"
        if not self.held[other]:
            self.ways[name] += self.side(other).connection.take()
        data, self.ways[name] = self.ways[name][:size], self.ways[name][size:]
        if data:
            self.side(name).receive(data)

    def teardown(self) -> None:
        for name in ("client", "server"):
            if self.held[name]:
                self.hold_or_resume(name)
        for _ in range(2000):
            for half in list(self.halves.values()):
                half.read(half.unread)
                if not (half.stream.closed or half.stream.sent_end):
                    half.side.connection.send_trailers(half.stream, TRAILERS)
            self.deliver("client", 1 << 20)
            self.deliver("server", 1 << 20)
            if not (self.client.connection.streams or self.server.connection.streams):
                break
        self.deliver("client", 1 << 20)
        self.deliver("server", 1 << 20)
        self.deliver("client", 1 << 20)
        self.all_arrived()
        self.nothing_left()

    def all_arrived(self) -> None:
        for (name, stream), half in self.halves.items():
            other = self.halves.get(("server" if name == "client" else "client", stream))
            assert half.stream.closed
            if not half.broken and other is not None and not other.broken:
                assert half.received == other.sent
                assert half.stream.received_end

    def nothing_left(self) -> None:
        for here, there in ((self.client, self.server), (self.server, self.client)):
            inner, peer = here.inner, there.inner
            assert inner.fault is None
            assert inner.streams == {}
            assert len(inner._waiting) == 0
            assert inner._out == []
            assert inner._pongs_due == 0
            assert inner._window + inner._spent == 65_535
            assert peer._send_window == inner._window


Conversation.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestConversation = Conversation.TestCase
