"""Streams recorded as they pass."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, PluginNotFound
from kratos.log import Level
from kratos.metrics import MemoryMeter
from kratos.plugins import register
from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.streamrecorder_pb2 import StreamRecorder
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.frames import framed
from kratos_gateway.middleware.messages import Messages
from kratos_gateway.middleware.recorder import Stream
from kratos_gateway.middleware.sinks import FileSink
from kratos_gateway.middleware.streamrecorder import GROUP
from kratos_gateway.middleware.streams import Chunk, hooks_of
from kratos_gateway.middleware.testing import Backend, Pieces, configured, request_to
from kratos_http.testing import eventually


class Shelf:
    """A sink that keeps what it gets, once it may."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.closed = False

    async def write(self, stream: Stream, /) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.streams.append(stream)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()

    def build(_context: Context) -> Shelf:
        return made

    undo = register(GROUP, "shelf", build)
    yield made
    undo()


def recording(
    backend: Handler, context: Context | None = None, **options: Any
) -> tuple[Middleware, Handler]:
    options.setdefault("plugin", "shelf")
    message = configured("streamrecorder", StreamRecorder(**options))
    made = create(message, context=context or Context(logger=MemoryLogger()))
    return made, made.wrap(backend, Endpoint())


class Reading(Backend):
    """Reads what it is sent before it answers."""

    async def __call__(self, request: Request, /) -> Answer:
        if not isinstance(request.body, bytes):
            while await request.body.read():
                pass
        return await super().__call__(request)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def drained(answer: Answer) -> None:
    if not isinstance(answer.body, bytes):
        while await answer.body.read():
            pass
        answer.body.close()


async def test_both_ways_are_recorded_in_the_order_in_which_they_passed(shelf: Shelf) -> None:
    backend = Reading(Answer(201, [], Pieces(b"c", b"d")))
    made, handler = recording(backend)
    await drained(await handler(request_to("/a?secret", method="POST", body=Pieces(b"a", b"b"))))
    await made.aclose()
    [stream] = shelf.streams
    assert stream.chunks == [
        Chunk(0, "request", b"a"),
        Chunk(1, "request", b"b"),
        Chunk(2, "response", b"c"),
        Chunk(3, "response", b"d"),
    ]
    assert (stream.method, stream.path, stream.status) == ("POST", "/a", 201)
    assert (stream.body("request"), stream.body("response"), stream.dropped) == (b"ab", b"cd", 0)
    assert shelf.closed


async def test_whole_bodies_are_recorded(shelf: Shelf) -> None:
    made, handler = recording(Backend(Answer(200, [], b"b")))
    await handler(request_to(body=b"a"))
    await made.aclose()
    assert [chunk.data for chunk in shelf.streams[0].chunks] == [b"a", b"b"]


async def test_messages_of_grpc_are_recorded_each(shelf: Shelf) -> None:
    sent, got = framed(b"one") + framed(b"two"), framed(b"three") + framed(b"")
    backend = Reading(Answer(200, [], Pieces(got[:3], got[3:])))
    made, handler = recording(backend)
    headers = [("Content-Type", "application/grpc")]
    body = Pieces(sent[:7], sent[7:9], sent[9:])
    endpoint = Endpoint(path="/*", protocol=GRPC)
    await drained(await handler(request_to(headers=headers, body=body, endpoint=endpoint)))
    await made.aclose()
    assert [chunk.data for chunk in shelf.streams[0].chunks] == [b"one", b"two", b"three", b""]


async def test_nobody_hides_what_he_sends_by_calling_it_grpc(shelf: Shelf) -> None:
    made, handler = recording(Backend(Answer(200, [], b"b")))
    await handler(request_to(headers=[("Content-Type", "application/grpc")], body=b"a"))
    await made.aclose()
    assert [chunk.data for chunk in shelf.streams[0].chunks] == [b"a", b"b"]


async def test_of_what_is_too_much_the_beginning_is_kept_and_the_rest_is_counted(
    shelf: Shelf,
) -> None:
    backend = Backend(Answer(200, [], Pieces(b"b" * 300, b"c" * 100, b"d")))
    made, handler = recording(backend, max_bytes=500)
    await drained(await handler(request_to(body=b"a" * 100)))
    await made.aclose()
    [stream] = shelf.streams
    assert [len(chunk.data) for chunk in stream.chunks] == [100, 500 - 100 - 2 * 128]
    assert stream.dropped == 300 + 100 + 1 - 144


async def test_what_comes_too_late_is_counted(shelf: Shelf) -> None:
    clock = FakeClock()
    context = Context(clock=clock, logger=MemoryLogger())
    backend = Backend(Answer(200, [], Pieces(b"a", b"bc")))
    made, handler = recording(backend, context, max_time=Duration(seconds=10))
    answer = await handler(request_to())
    assert not isinstance(answer.body, bytes)
    await answer.body.read()
    await clock.advance(11)
    await drained(answer)
    await made.aclose()
    [stream] = shelf.streams
    assert (stream.body("response"), stream.dropped, stream.seconds) == (b"a", 2, 11)


async def test_sink_that_is_slow_holds_nobody_up_and_what_is_lost_is_told(shelf: Shelf) -> None:
    meter = MemoryMeter()
    context = Context(meter=meter, logger=MemoryLogger())
    backend = Backend(Answer(200, [], b"x" * 1000))
    made, handler = recording(backend, context, max_pending=3000, max_bytes=3000)
    shelf.open.clear()
    for _ in range(20):
        assert (await handler(request_to())).body == b"x" * 1000
    shelf.open.set()
    await asyncio.sleep(0)
    await made.aclose()
    lost = meter.value("kratos_gateway_streams_lost")
    assert 0 < len(shelf.streams) < 20
    assert lost == 20 - len(shelf.streams)


async def test_stream_after_those_that_were_lost_says_how_many(shelf: Shelf) -> None:
    made, handler = recording(Backend(), max_pending=128, max_bytes=128)
    shelf.open.clear()
    await handler(request_to("/1"))
    await handler(request_to("/2"))
    shelf.open.set()
    await eventually(lambda: bool(shelf.streams))
    await handler(request_to("/3"))
    await made.aclose()
    assert [(stream.path, stream.lost) for stream in shelf.streams] == [("/1", 0), ("/3", 1)]


async def test_sink_that_fails_is_told_of_once_and_harms_nobody(shelf: Shelf) -> None:
    logger, meter = MemoryLogger(), MemoryMeter()
    made, handler = recording(Backend(), Context(logger=logger, meter=meter))
    shelf.failure = OSError("the disk is full")
    for _ in range(3):
        assert (await handler(request_to())).status == 200
    await made.aclose()
    assert logger.messages(Level.ERROR) == ["streams cannot be recorded"]
    assert meter.value("kratos_gateway_streams_lost") == 3


@pytest.mark.parametrize("closed", [True, False])
async def test_stream_that_breaks_off_is_recorded_with_why(
    shelf: Shelf,
    closed: bool,
) -> None:
    made, handler = recording(Backend(Answer(200, [], Pieces(b"a", ConnectionError("lost")))))
    answer = await handler(request_to())
    assert not isinstance(answer.body, bytes)
    await answer.body.read()
    if not closed:
        with pytest.raises(ConnectionError):
            await answer.body.read()
    answer.body.close()
    await made.aclose()
    [stream] = shelf.streams
    assert stream.body("response") == b"a"
    assert ("code = 499" if closed else "lost") in stream.error


async def test_attempt_without_an_answer_is_recorded(shelf: Shelf) -> None:
    made, handler = recording(Backend(ConnectionError("nobody is there")))
    with pytest.raises(ConnectionError):
        await handler(request_to(body=b"a"))
    await made.aclose()
    [stream] = shelf.streams
    assert (stream.status, stream.error, stream.body("request")) == (0, "nobody is there", b"a")


class Hook:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_response(self, answer: Answer, /) -> None:
        self.told.append(answer.status)

    def on_chunk(self, chunk: Chunk, /) -> None:
        self.told.append(chunk.data)
        raise RuntimeError("hooks may fail")

    def on_finish(self, error: BaseException | None, /) -> None:
        self.told.append(error)


async def test_hooks_of_other_middleware_are_told_and_may_fail(shelf: Shelf) -> None:
    made, handler = recording(Backend(Answer(200, [], Pieces(b"b"))))
    hook, request = Hook(), request_to(body=b"a")
    hooks_of(request).append(hook)
    await drained(await handler(request))
    await made.aclose()
    assert hook.told == [b"a", 200, b"b", None]
    assert len(shelf.streams[0].chunks) == 2


async def test_share_of_streams_is_recorded(shelf: Shelf) -> None:
    made, handler = recording(Backend(), share=1e-9)
    for _ in range(10):
        await handler(request_to())
    await made.aclose()
    assert not shelf.streams


async def test_log_is_the_sink_unless_another_is_named() -> None:
    logger = MemoryLogger()
    message = configured("streamrecorder")
    made = create(message, context=Context(logger=logger))
    await made.wrap(Backend(Answer(200, [], b"\xff")), Endpoint())(request_to(body=b"a"))
    await made.aclose()
    [(level, text, fields)] = logger.records
    assert (level, text) == (Level.INFO, "stream")
    assert fields["chunks"] == [
        {"index": 0, "tag": "request", "text": "a"},
        {"index": 1, "tag": "response", "base64": "/w=="},
    ]


async def test_file_does_not_grow_without_end_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "streams"
    message = configured(
        "streamrecorder",
        StreamRecorder(file=StreamRecorder.File(path=str(path), max_bytes=1000)),
    )
    made = create(message, context=Context(logger=MemoryLogger()))
    handler = made.wrap(Backend(Answer(200, [], b"x" * 200)), Endpoint())
    for number in range(8):
        await handler(request_to(f"/{number}"))
    await made.aclose()
    assert names(tmp_path) == ["streams", "streams.1"]
    files = [tmp_path / "streams.1", path]
    lines = [line for file in files for line in file.read_text().splitlines()]
    numbers = [json.loads(line)["path"] for line in lines]
    assert numbers == [f"/{number}" for number in range(8)][-len(numbers) :]
    assert len(numbers) >= 2
    assert all(each.stat().st_size <= 1000 for each in files)
    assert path.stat().st_mode & 0o077 == 0


def test_sinks_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file.path is empty"):
        FileSink("", 1)
    with pytest.raises(ConfigError, match="there is no folder"):
        FileSink(str(tmp_path / "none" / "streams"), 1)
    with pytest.raises(ConfigError) as raised:
        recording(Backend(), plugin="nothing")
    assert isinstance(raised.value.__cause__, PluginNotFound)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (StreamRecorder(share=2), "at most 1, not 2"),
        (StreamRecorder(max_bytes=2, max_pending=1), "must not be more than maxPending of 1"),
        (StreamRecorder(max_time=Duration(seconds=-1)), "maxTime"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: StreamRecorder, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        create(configured("streamrecorder", options), context=Context())


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_messages_are_found_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    messages, whole, found = Messages(1000), b"".join(map(framed, sent)), list[bytes]()
    for cut in cuts:
        found += messages.feed(whole[:cut])
        whole = whole[cut:]
    found += messages.feed(whole)
    assert found == sent


@given(st.lists(st.binary()), st.integers(0, 20))
def test_what_is_no_message_breaks_nothing_and_keeps_no_more_than_it_may(
    pieces: list[bytes], most: int
) -> None:
    messages = Messages(most)
    for piece in pieces:
        assert all(len(message) <= most for message in messages.feed(piece))


if sys.version_info >= (3, 12):

    async def test_each_stream_is_recorded_where_tasks_begin_at_once(shelf: Shelf) -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        made, handler = recording(Backend(Answer(200, [], b"b")))
        for _ in range(2):
            await handler(request_to(body=b"a"))
        await made.aclose()
        assert len(shelf.streams) == 2
