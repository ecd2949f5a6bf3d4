"""One connection with Nacos: requests, what is pushed, and the heartbeat that both sides need.

What an instance or a subscriber is to Nacos lives as long as its connection, so a link that is over
is never mended: who held it makes another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, cast
from weakref import WeakValueDictionary

import grpc
import grpc.aio

from kratos.clock import Clock
from kratos.limit import cancel_and_wait, is_cancelled_from_outside
from kratos_nacos import nacos_pb2 as pb
from kratos_nacos.login import Tokens
from kratos_nacos.wire import (
    UNKNOWN_CONNECTION,
    UNREACHABLE,
    Body,
    NacosUnavailable,
    code_of,
    has_bad_token,
    pack,
    place_of,
    refused,
    unpack,
    unreachable,
)

__all__ = ["Link"]

_Stream: TypeAlias = "grpc.aio.StreamStreamCall[pb.Payload, pb.Payload]"
_Listener: TypeAlias = "Callable[[Body | None], None]"

_UNARY: Final = "/Request/request"
_STREAM: Final = "/BiRequestStream/requestBiStream"
_HEALTH: Final = "HealthCheckRequest"
_VERSION: Final = "Kratos-Python:v0.1.0"
_GREETED: Final = 0.01  # seconds between looks whether Nacos knows the connection
_HEARTBEAT: Final = 5.0
_MISSES: Final = 2  # heartbeats in a row; Nacos itself is patient for 20 seconds and more

_serialize: Callable[[pb.Payload], bytes] = pb.Payload.SerializeToString


class Link:
    """A connection, which ``open`` makes; whoever has it closes it.

    Args:
        channel: A channel to one endpoint, of its own.
        endpoint: Which, for errors.
        tokens: Of the user; ``None`` for nobody.
        timeout: Seconds for one answer.
        clock: Time between heartbeats.
        gone: Called when nothing of it is left.

    Attributes:
        why: Why it is over; empty before.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        endpoint: str,
        tokens: Tokens | None,
        timeout: float,
        clock: Clock,
        gone: Callable[[Link], None],
    ) -> None:
        self._gone = gone
        self._channel: grpc.aio.Channel | None = channel
        self._endpoint = endpoint
        self._tokens = tokens
        self._timeout = timeout
        self._clock = clock
        self._listeners: dict[object, set[_Listener]] = {}
        self._turns: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()
        self._running: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.why = ""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return bool(self.why)

    async def open(self, *, module: str, namespace: str) -> None:
        """Connect, and be known to Nacos.

        Args:
            module: ``naming`` or ``config``: what it is for.
            namespace: In which.

        Raises:
            NacosUnavailable: Nacos does not answer, or it is none.

        Cancellation: leaves it to be closed.
        """
        await self.ask("ServerCheckRequest", {})
        labels = {"source": "sdk", "module": module}
        setup = {"clientVersion": _VERSION, "tenant": namespace, "labels": labels, "abilities": {}}
        token = await self._token()
        stream: _Stream = self._open_channel().stream_stream(
            _STREAM,
            request_serializer=_serialize,
            response_deserializer=pb.Payload.FromString,
        )()
        # From here on it is the task's to end.
        self._running = asyncio.create_task(
            self._run(stream, pack("ConnectionSetupRequest", setup, token=token)),
            name=f"kratos-nacos {self._endpoint}",
        )
        del stream
        try:
            async with asyncio.timeout(self._timeout):
                while await self._health() == UNKNOWN_CONNECTION:  # noqa: ASYNC110  it does not say
                    await asyncio.sleep(_GREETED)
        except TimeoutError:
            text = f"Nacos at {self._endpoint} takes no connection within {self._timeout:g} s"
            raise NacosUnavailable(text, code=UNREACHABLE) from None

    async def ask(self, kind: str, body: Body, /) -> Body:
        """Return the answer to a request.

        Raises:
            NacosUnavailable: There was none, or Nacos refused.

        Cancellation: safe; what was asked for may have been done.
        """
        token = await self._token()
        answer = await self._exchange(kind, pack(kind, body, token=token))
        if token and self._tokens is not None and has_bad_token(answer):
            token = await self._tokens.get(instead_of=token)
            answer = await self._exchange(kind, pack(kind, body, token=token))
        if answer.get("resultCode") == 200:
            return answer
        user = None if self._tokens is None else self._tokens.username
        error = refused(kind, answer, endpoint=self._endpoint, user=user)
        if error.code == UNKNOWN_CONNECTION:
            self._end(str(error))
        raise error

    def hear(self, place: object, listener: _Listener) -> Callable[[], bool]:
        """Call a listener with what is pushed about a place; with ``None`` at the end of all.

        Returns:
            The way to hear no more; it tells whether nobody else hears of that place.
        """
        listeners = self._listeners.setdefault(place, set())
        listeners.add(listener)

        def stop() -> bool:
            listeners.discard(listener)
            if not listeners and self._listeners.get(place) is listeners:
                del self._listeners[place]
            return place not in self._listeners

        return stop

    def turn(self, place: object) -> asyncio.Lock:
        """Return what keeps requests about a place apart that must not overtake each other."""
        return self._turns.setdefault(place, asyncio.Lock())

    def is_heard(self, place: object) -> bool:
        """Tell whether somebody hears of a place."""
        return place in self._listeners

    async def end(self) -> None:
        """Return when it is over."""
        await self._ended.wait()

    async def aclose(self) -> None:
        """End it; idempotent. What was published over it goes at once."""
        self._end(f"the connection to Nacos at {self._endpoint} was closed")
        running, self._running = self._running, None
        if running is not None:
            await cancel_and_wait(running)
        await self._release()

    async def _health(self) -> int:
        """Return what Nacos has against the connection; 0 for nothing."""
        return code_of(await self._exchange(_HEALTH, pack(_HEALTH, {})))

    async def _token(self) -> str:
        return "" if self._tokens is None else await self._tokens.get()

    async def _exchange(self, kind: str, request: pb.Payload) -> Body:
        try:
            reply = await self._open_channel().unary_unary(
                _UNARY,
                request_serializer=_serialize,
                response_deserializer=pb.Payload.FromString,
            )(request, timeout=self._timeout)
            return unpack(reply)[1]
        except grpc.aio.AioRpcError as error:
            failure = self._unreachable(kind, error)
        except ValueError as error:
            text = f"{self._endpoint} answers {kind} with no message of Nacos: {error}"
            failure = NacosUnavailable(text)
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                # Without what gRPC did, for the reason below.
                raise error.with_traceback(None)  # noqa: B904  it is the same
            failure = NacosUnavailable(self.why, code=UNREACHABLE)
        # Raised here, because an error of gRPC holds its call, and a call the connection: who kept
        # the one would keep the other open.
        raise failure

    async def _run(self, stream: _Stream, setup: pb.Payload) -> None:
        beating = asyncio.create_task(self._beat(stream))
        try:
            self._end(await self._listen(stream, setup))
        finally:
            self._end(f"listening to Nacos at {self._endpoint} failed")  # unless it knows better
            stream.cancel()
            del stream
            await cancel_and_wait(beating)
            del beating
            await self._release()

    async def _listen(self, stream: _Stream, answer: pb.Payload) -> str:
        """Answer what Nacos says until it ends; return why it did."""
        try:
            while True:
                await stream.write(answer)
                message = await stream.read()
                if message is grpc.aio.EOF:
                    return f"Nacos at {self._endpoint} ended the connection"
                kind, body = unpack(cast("pb.Payload", message))
                if kind == "ConnectResetRequest":
                    return f"Nacos at {self._endpoint} asks to connect anew"
                for listener in list(self._listeners.get(place_of(kind, body), ())):
                    listener(body)
                said = {"requestId": body.get("requestId"), "resultCode": 200, "success": True}
                answer = pack(f"{kind.removesuffix('Request')}Response", said)
        except grpc.aio.AioRpcError as error:
            return str(self._unreachable("listening", error))
        except asyncio.InvalidStateError:
            return f"Nacos at {self._endpoint} ended the connection"
        except ValueError as error:
            return f"{self._endpoint} pushes no message of Nacos: {error}"
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            return self.why

    async def _beat(self, stream: _Stream) -> None:
        """Find out about a connection that died without a sign; Nacos wants signs, too."""
        misses = 0
        while not self.over:
            await self._clock.sleep(0 if misses else _HEARTBEAT)
            try:
                if await self._health() == UNKNOWN_CONNECTION:
                    self._end(f"Nacos at {self._endpoint} does not know the connection any more")
                misses = 0
            except NacosUnavailable as error:
                misses += 1
                if misses == _MISSES:
                    self._end(str(error))
        stream.cancel()

    def _end(self, why: str) -> None:
        if self.over:
            return
        self.why = why
        self._ended.set()
        everybody = [one for listeners in self._listeners.values() for one in listeners]
        for listener in everybody:
            listener(None)

    async def _release(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
            self._gone(self)

    def _open_channel(self) -> grpc.aio.Channel:
        if self._channel is None or self.over:
            raise NacosUnavailable(self.why, code=UNREACHABLE)
        return self._channel

    def _unreachable(self, kind: str, error: grpc.aio.AioRpcError) -> NacosUnavailable:
        details = error.details() or ""
        return unreachable(kind, endpoint=self._endpoint, code=error.code(), details=details)
