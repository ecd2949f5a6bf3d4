"""Record what passes in streams (Go: the branch of stream endpoints, middleware/streamrecorder)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.plugins import load
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.streamrecorder_pb2 import StreamRecorder
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.recorder import Limits, Recorder, Sink, Stream
from kratos_gateway.middleware.sinks import FileSink, LogSink
from kratos_gateway.middleware.streams import Watch, hooks_of

__all__ = ["GROUP", "MakeSink", "build", "recorded"]

GROUP: Final = "kratos.gateway.recorder"
"""Group of entry points of sinks; each is a function of the context."""

MakeSink: TypeAlias = Callable[[Context], Sink]

_STREAM: Final = object()
_MAX_STREAM: Final = 64 * 1024
_MAX_ALL: Final = 4 * 1024 * 1024
_MAX_FILE: Final = 16 * 1024 * 1024
_MINUTE: Final = 60.0


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what records streams: bodies both ways, messages of gRPC and of WebSockets.

    It never holds a stream up: what is too much, comes too late, or finds the sink busy is
    dropped, and how much is told. Bodies may hold secrets; whoever reads the sink reads them.

    Raises:
        ConfigError: There is no such sink, or a limit is out of its range.
    """
    told = options_of(options, StreamRecorder)
    share = told.share or 1.0
    if not 0 < share <= 1:
        raise ConfigError(f"share must be more than 0 and at most 1, not {share:g}")
    limits = Limits(
        stream=told.max_bytes or _MAX_STREAM,
        all=told.max_pending or _MAX_ALL,
        seconds=seconds_of(told.max_time, name="maxTime") or _MINUTE,
    )
    if limits.stream > limits.all:
        raise ConfigError(
            f"maxBytes of {limits.stream} must not be more than maxPending of {limits.all}"
        )
    recorder = Recorder(_sink(told, context), limits, context)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            if random.random() >= share:
                return await handler(request)
            return await _recorded(request, handler, recorder)

        return handle

    return Plain(wrap, close=recorder.aclose)


def recorded(request: Request, /) -> Stream | None:
    """Return what is recorded of the last attempt of a request; ``None`` for nothing."""
    found: Stream | None = request.options.values.get(_STREAM)
    return found


async def _recorded(request: Request, handler: Handler, recorder: Recorder) -> Answer:
    recording = recorder.begin(request)
    request.options.values[_STREAM] = recording.stream
    hooks = [recording, *hooks_of(request)]
    watch = Watch(request, hooks, most=recorder.limits.stream)
    try:
        return watch.answer(await handler(watch.request(request)))
    except BaseException as error:
        watch.end(error)
        raise


def _sink(told: StreamRecorder, context: Context) -> Sink:
    kind = told.WhichOneof("sink")
    if kind == "file":
        return FileSink(told.file.path, told.file.max_bytes or _MAX_FILE)
    if kind == "plugin":
        make: MakeSink = load(GROUP, told.plugin)
        return make(context)
    return LogSink(context.logger)
