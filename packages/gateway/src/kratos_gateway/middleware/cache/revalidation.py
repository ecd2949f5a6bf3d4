"""Asking back ends on behalf of a cache (RFC 9111, 4.3; RFC 5861)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from kratos.clock import Clock
from kratos.errors import Error
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_gateway.headers import first
from kratos_gateway.middleware.cache.freshness import validators
from kratos_gateway.middleware.cache.keeping import Keeper
from kratos_gateway.middleware.cache.kept import Kept, Shelf
from kratos_gateway.middleware.callers import times_not_for_others
from kratos_gateway.middleware.requests import with_headers
from kratos_gateway.middleware.tags import is_same

__all__ = ["Revalidation", "marked"]

_SPARING: Final = 5.0  # seconds in which what is stale does where back ends have failed
_CONDITIONS: Final = (b"if-none-match", b"if-modified-since")


class Revalidation:
    """Asks for answers, and about those that are kept; they are kept as its own.

    Args:
        handler: Who is asked.
        shelf: Where answers are kept.
        keeper: Puts them there.
        clock: Time.
    """

    def __init__(self, handler: Handler, shelf: Shelf, keeper: Keeper, clock: Clock) -> None:
        self._handler: Final = handler
        self._shelf: Final = shelf
        self._keeper: Final = keeper
        self._clock: Final = clock

    def answer(self, request: Request, found: Kept, how: str = "hit") -> Answer:
        """Return what was found, as the answer to a request.

        Args:
            request: It.
            found: That.
            how: What was done for it, as ``Cache-Status`` has it.
        """
        now = self._clock.time()
        status = f"gateway; {how}; ttl={int(found.until - now)}".encode()
        age = (b"age", str(int(found.age + now - found.since)).encode())
        headers = [*found.headers, age, (b"cache-status", status)]
        if is_same(request.header(b"if-none-match"), first(found.headers, b"etag")):
            return Answer(304, headers)
        return Answer(found.status, headers, found.body)

    async def ask(self, request: Request, key: str, found: Kept | None) -> tuple[Answer, bool]:
        """Ask, or ask whether what was found is still good; tell whether the answer is kept."""
        serial = self._shelf.serial
        known = [] if found is None else validators(found.headers)
        asked, how = request, "fwd=miss"
        if known:
            others = [pair for pair in request.headers if pair[0] not in _CONDITIONS]
            asked = with_headers(request, [*others, *known])
        before = times_not_for_others(request)
        answer = await self._unless_it_fails(asked, key, found)
        own = times_not_for_others(request) > before
        if found is not None:
            if answer is None:
                return self.answer(request, found), True
            if known:
                how = f"fwd=stale; fwd-status={answer.status}"
            if known and answer.status == 304:
                tag = answer.header(b"etag")
                of_another = bool(tag) and not is_same(tag, first(found.headers, b"etag"))
                if own or of_another:
                    return await self.ask(request, key, None)
                fresh = self._keeper.freshen(key, found, answer, serial)
                return self.answer(request, fresh or found, how), fresh is not None
        assert answer is not None, "there is nothing else to answer with"
        if own:
            return marked(answer, "fwd=bypass"), False
        keeps = self._keeper.keep(request, key, answer, serial, by=self)
        return marked(answer, f"{how}; stored" if keeps else how), keeps

    async def _unless_it_fails(self, asked: Request, key: str, found: Kept | None) -> Answer | None:
        """Ask; ``None`` where that fails and what was found may do, as it then does for a while."""
        serial = self._shelf.serial
        if found is None or found.failing <= self._clock.time():
            return await self._handler(asked)
        try:
            answer = await self._handler(asked)
            if answer.status < 500:
                return answer
            if not isinstance(answer.body, bytes):
                answer.body.close()
        except (OSError, TimeoutError):
            pass  # as below
        except Error as error:
            if error.code < 500:
                raise
        except asyncio.CancelledError:
            if not asked.options.is_late():
                raise
        for_a_while = min(found.failing, self._clock.time() + _SPARING)
        self._shelf.put(key, replace(found, revalidating=for_a_while), asked=serial)
        return None


def marked(answer: Answer, how: str, /) -> Answer:
    """Return an answer that tells in ``Cache-Status`` what was done (RFC 9211)."""
    answer.headers = [*answer.headers, (b"cache-status", f"gateway; {how}".encode())]
    return answer
