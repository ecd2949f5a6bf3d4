"""Streams kept for a while, on their way to whoever stores them: bounded, and never waited for."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kratos.clock import Clock
from kratos.limit import cancel_and_wait
from kratos.log import Level
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.streams import Chunk, Tag

__all__ = ["Limits", "Recorder", "Recording", "Sink", "Stream"]

_OVERHEAD: Final = 128  # bytes of a chunk beside its data
_PARTING: Final = 5.0  # seconds for what waits when it is closed


@dataclass(slots=True, kw_only=True)
class Stream:
    """A stream that was recorded.

    Attributes:
        method: Verb.
        host: As the client named it.
        path: Without the query, which may hold secrets.
        status: Of the answer; 0 where there was none.
        seconds: That it took.
        error: What it ended with; empty if it ended well.
        chunks: What passed, as much as is kept.
        dropped: Bytes that passed and are not kept.
        lost: Streams before it that came to no record, since the last one.
    """

    method: str
    host: str
    path: str
    status: int = 0
    seconds: float = 0.0
    error: str = ""
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    dropped: int = 0
    lost: int = 0

    def body(self, tag: Tag, /) -> bytes:
        """Return what is kept of one way."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.tag == tag)

    def to_mapping(self) -> Mapping[str, Any]:
        """Return it as JSON has it; data that is no text is in base64."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "chunks"}
        return {**told, "chunks": [_mapping(chunk) for chunk in self.chunks]}

    def __str__(self) -> str:
        """Tell how much there is of it, and not what."""
        sizes = [f"{len(self.body(tag))} bytes of {tag}" for tag in ("request", "response")]
        return f"{', '.join(sizes)} in {len(self.chunks)} chunks, {self.dropped} bytes dropped"


class Sink(Protocol):
    """Where streams go."""

    async def write(self, stream: Stream, /) -> None:
        """Take one. What it raises is logged, and the stream is lost."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept.

    Attributes:
        stream: Bytes of one stream.
        all: Bytes of all streams, whether they are under way or wait for the sink.
        seconds: How long a stream is recorded.
    """

    stream: int
    all: int
    seconds: float


class Recorder:
    """Hands streams to a sink, one after the other.

    Args:
        sink: It.
        limits: How much is kept.
        context: Where failures are told and counted.
    """

    def __init__(self, sink: Sink, limits: Limits, context: Context) -> None:
        self.limits: Final = limits
        self.clock: Final = context.clock
        self._sink: Final = sink
        self._logger: Final = context.logger
        self._lost: Final = context.meter.counter(
            "kratos_gateway_streams_lost", description="Recorded streams that the sink did not get"
        ).labels()
        self._waiting: Final[deque[tuple[Stream, int]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._held = 0
        self._missing = 0
        self._failed = False

    def begin(self, request: Request) -> Recording:
        """Begin to record a stream."""
        return Recording(request, self)

    def take(self, size: int) -> bool:
        """Take bytes of what may be held; tell whether there were as many."""
        if self._held + size > self.limits.all:
            return False
        self._held += size
        return True

    def offer(self, stream: Stream, held: int) -> None:
        """Take a stream that has ended, and what is held of it."""
        if not self.take(_OVERHEAD):
            self._held -= held
            self._lose()
            return
        stream.lost, self._missing = self._missing, 0
        self._waiting.append((stream, held + _OVERHEAD))
        if self._writing is None or self._writing.done():  # as it began, in an eager task
            self._writing = asyncio.create_task(self._write())

    async def aclose(self) -> None:
        """Write what waits, within a limit, and close the sink."""
        writing = self._writing
        if writing is not None:
            await asyncio.wait({writing}, timeout=_PARTING)
            await cancel_and_wait(writing)
        await self._sink.aclose()

    async def _write(self) -> None:
        try:
            while self._waiting:
                stream, held = self._waiting.popleft()
                try:
                    await self._sink.write(stream)
                    self._failed = False
                except Exception as error:
                    self._lose()
                    self._tell(error)
                finally:
                    self._held -= held
        finally:
            self._writing = None

    def _lose(self) -> None:
        self._missing += 1
        self._lost.inc()

    def _tell(self, error: Exception) -> None:
        if not self._failed:  # else it has been told, and is true for each stream
            self._failed = True
            fields = {"error": f"{type(error).__name__}: {error}"}
            self._logger.log(Level.ERROR, "streams cannot be recorded", fields)


class Recording:
    """A ``StreamHook`` that keeps what passes.

    Args:
        request: Whose stream it is.
        recorder: Who gets it.

    Attributes:
        stream: What is known so far.
    """

    __slots__ = ("_began", "_clock", "_held", "_recorder", "stream")

    def __init__(self, request: Request, recorder: Recorder) -> None:
        self.stream: Final = Stream(method=request.method, host=request.host, path=request.path)
        self._recorder: Final = recorder
        self._clock: Final[Clock] = recorder.clock
        self._began: Final = self._clock.time()
        self._held = 0

    def on_response(self, answer: Answer, /) -> None:
        """See ``StreamHook``."""
        self.stream.status = answer.status

    def on_chunk(self, chunk: Chunk, /) -> None:
        """See ``StreamHook``; of what is too much, the beginning is kept."""
        limits, size = self._recorder.limits, len(chunk.data)
        room = max(0, limits.stream - self._held - _OVERHEAD)
        late = self._clock.time() - self._began > limits.seconds
        kept = 0 if late else min(size, room)
        if (size and not kept) or not room or not self._recorder.take(kept + _OVERHEAD):
            self.stream.dropped += size
            return
        self._held += kept + _OVERHEAD
        if kept < size:
            self.stream.dropped += size - kept
            chunk = Chunk(chunk.index, chunk.tag, chunk.data[:kept])
        self.stream.chunks.append(chunk)

    def on_finish(self, error: BaseException | None, /) -> None:
        """See ``StreamHook``."""
        self.stream.seconds = self._clock.time() - self._began
        if error is not None:
            self.stream.error = str(error) or type(error).__name__
        self._recorder.offer(self.stream, self._held)


def _mapping(chunk: Chunk) -> Mapping[str, Any]:
    told: dict[str, Any] = {"index": chunk.index, "tag": chunk.tag}
    try:
        told["text"] = chunk.data.decode()
    except UnicodeDecodeError:
        told["base64"] = b64encode(chunk.data).decode()
    return told
