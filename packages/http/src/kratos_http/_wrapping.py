"""Endpoints with other headers, for filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

from kratos.transport.cause import Cause
from kratos.transport.http import Buffered, Endpoint, Head, Reply, Streamed, Wire, WireHeaders

__all__ = ["Change", "WireProxy", "replace_headers", "with_headers", "with_vary"]

Change: TypeAlias = Callable[[WireHeaders], WireHeaders]


def with_headers(endpoint: Endpoint, change: Change) -> Endpoint:
    """Return the endpoint with the headers of its answers changed; WebSockets as they are."""
    if hasattr(endpoint, "answer"):
        return _ChangedBuffered(cast("Buffered", endpoint), change)
    if hasattr(endpoint, "converse"):
        return _ChangedStreamed(cast("Streamed", endpoint), change)
    return endpoint


def with_vary(headers: WireHeaders, *names: bytes) -> WireHeaders:
    """Return the headers with ``Vary`` for further names, given in lower case."""
    present: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"vary":
            present.update(each.strip().lower() for each in value.split(b","))
    missing = [name for name in names if name not in present]
    if not missing or b"*" in present:
        return headers
    return [*headers, (b"vary", b", ".join(missing))]


def replace_headers(headers: WireHeaders, pairs: Iterable[tuple[bytes, bytes]]) -> WireHeaders:
    """Return the headers with others in place of those of the same names."""
    added = list(pairs)
    names = {name for name, _ in added}
    return [pair for pair in headers if pair[0].lower() not in names] + added


class WireProxy:
    """A ``Wire`` that hands all on, for others to derive from."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self) -> bytes:
        """See ``Wire``."""
        return await self._wire.read()

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """See ``Wire``."""
        self._wire.start(status, headers)

    async def write(self, data: bytes, /) -> None:
        """See ``Wire``."""
        await self._wire.write(data)

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """See ``Wire``."""
        await self._wire.finish(trailers)

    def reset(self, cause: Cause, /) -> None:
        """See ``Wire``."""
        self._wire.reset(cause)


class _ChangedWire(WireProxy):
    def __init__(self, wire: Wire, change: Change) -> None:
        super().__init__(wire)
        self._change = change

    def start(self, status: int, headers: WireHeaders, /) -> None:
        self._wire.start(status, self._change(headers))


class _ChangedBuffered:
    def __init__(self, endpoint: Buffered, change: Change) -> None:
        self._endpoint = endpoint
        self._change = change

    @property
    def max_body(self) -> int:
        return self._endpoint.max_body

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        reply = await self._endpoint.answer(head, body)
        return Reply(reply.status, self._change(reply.headers), reply.body, reply.trailers)


class _ChangedStreamed:
    def __init__(self, endpoint: Streamed, change: Change) -> None:
        self._endpoint = endpoint
        self._change = change

    async def converse(self, head: Head, wire: Wire, /) -> None:
        await self._endpoint.converse(head, _ChangedWire(wire, self._change))
