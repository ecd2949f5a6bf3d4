"""What is served now, and what was served before until its last request has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import Error
from kratos.limit import Limit
from kratos.transport.http import (
    Buffered,
    Endpoint,
    Head,
    HttpApplication,
    Reply,
    Streamed,
    Upgraded,
)
from kratos_gateway.routing import clean

__all__ = ["Replaceable", "Switch"]

_log = logging.getLogger("kratos.gateway")

_RESPELLED: Final = (b"%", b"//", b"/.")  # in what is not as it is matched


class Replaceable(HttpApplication, Protocol):
    """What is served until another takes its place, such as a ``Proxy``."""

    async def aclose(self, *, drain: float) -> None:
        """Give back what it holds. Idempotent.

        Args:
            drain: Seconds for requests that are still under way; then they are cut off.
        """
        ...


class Switch:
    """Routes each request to what is served at that moment, which then answers it to its end.

    Args:
        fixed: Endpoints by path that come before all others, however it is spelled.
        clock: Time for draining.
    """

    def __init__(self, fixed: Mapping[bytes, Endpoint], *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._fixed = fixed
        self._clock = clock
        self._present: _Generation | None = None

    @property
    def present(self) -> Replaceable | None:
        """What is served; ``None`` before there is something."""
        return None if self._present is None else self._present.application

    def route(self, head: Head, /) -> Endpoint:
        """Choose the endpoint; see ``HttpApplication``."""
        fixed = self._fixed.get(head.path)
        if fixed is None and self._fixed and any(each in head.path for each in _RESPELLED):
            fixed = self._respelled(head.path)
        if fixed is not None:
            return fixed
        present = self._present
        assert present is not None, "served only when there is something"
        endpoint: Any = present.application.route(head)
        # What the engine holds keeps what it needs open, also while it waits for its turn.
        if hasattr(endpoint, "converse"):
            return _HeldStream(endpoint, present)
        if hasattr(endpoint, "answer"):
            return _HeldAnswer(endpoint, present)
        return _HeldSocket(endpoint, present)

    def _respelled(self, path: bytes) -> Endpoint | None:
        try:
            return self._fixed.get(clean(path).wire.encode())
        except Error:
            return None  # which the application tells the client

    def replace(self, application: Replaceable, /) -> _Generation | None:
        """Serve something else from now on; return what was served, which ``retire`` takes."""
        before, self._present = self._present, _Generation(application)
        return before

    async def retire(self, before: _Generation, /, *, drain: float) -> None:
        """Close what is served no more when its last request has ended.

        Args:
            before: What ``replace`` returned.
            drain: Seconds that its requests have; then they are cut off.

        Cancellation: closes it at once.
        """
        until = self._clock.time() + drain
        left = 0.0
        limit = Limit(self._clock, drain)
        try:
            async with limit:
                await before.unused()
            left = max(0.0, until - self._clock.time())
        except TimeoutError:
            _log.warning(
                "%d requests of the configuration before took longer than %g s and are cut off",
                before.held,
                drain,
            )
        finally:
            try:
                await before.application.aclose(drain=left)
            except Exception:
                _log.exception("what was served before could not be closed")

    async def aclose(self) -> None:
        """Close what is served now, at once; for when nothing is asked any more. Idempotent."""
        present, self._present = self._present, None
        if present is not None:
            await present.application.aclose(drain=0.0)


class _Generation:
    """One application and how many endpoints of it are held."""

    __slots__ = ("application", "held", "waiting")

    def __init__(self, application: Replaceable) -> None:
        self.application = application
        self.held = 0
        self.waiting: asyncio.Event | None = None

    def release(self) -> None:
        """Note that one is held no more."""
        self.held -= 1
        if self.waiting is not None and not self.held:
            self.waiting.set()

    async def unused(self) -> None:
        """Return when none is held; none is to be held anew."""
        self.waiting = asyncio.Event()
        if self.held:
            await self.waiting.wait()


# Held while they exist: who drops one last has released it. They are made for each request, so
# each says by itself what all have in common.


class _HeldStream:
    __slots__ = ("_generation", "converse")

    def __init__(self, endpoint: Streamed, generation: _Generation) -> None:
        self.converse = endpoint.converse
        self._generation = generation
        generation.held += 1

    def __del__(self) -> None:
        self._generation.release()


class _HeldSocket:
    __slots__ = ("_generation", "talk")

    def __init__(self, endpoint: Upgraded, generation: _Generation) -> None:
        self.talk = endpoint.talk
        self._generation = generation
        generation.held += 1

    def __del__(self) -> None:
        self._generation.release()


class _HeldAnswer:
    __slots__ = ("_endpoint", "_generation", "max_body", "overflow")

    def __init__(self, endpoint: Buffered, generation: _Generation) -> None:
        self._endpoint = endpoint
        self.max_body = endpoint.max_body
        self.overflow = getattr(endpoint, "overflow", None)
        self._generation: _Generation | None = generation
        generation.held += 1

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        try:
            return await self._endpoint.answer(head, body)
        finally:
            self._release()  # engines keep this method until the next request of the connection

    def _release(self) -> None:
        generation, self._generation = self._generation, None
        if generation is not None:
            generation.release()

    def __del__(self) -> None:
        self._release()
