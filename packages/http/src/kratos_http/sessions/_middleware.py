"""The middleware of all kinds of sessions: in before the handler, out before the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from kratos.clock import Clock
from kratos.errors import Error
from kratos.transport import Call, Handler
from kratos_http.cookies import parse_cookies, set_cookie
from kratos_http.request import Request
from kratos_http.sessions._session import CURRENT, Record, Session, dump
from kratos_http.sessions.options import SessionOptions

__all__ = ["SessionMiddleware"]

_RENEWALS: Final = 10  # of a cookie while it lives; more would only cost


class SessionMiddleware(ABC):
    """Gives each call its session, for ``current_session``.

    Args:
        options: How long they live, and how their cookie is sent.
        clock: Tells the time.
    """

    def __init__(self, options: SessionOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    @abstractmethod
    async def load(self, text: str, /) -> Record | None:
        """Return what belongs to the value of a cookie; ``None`` if it is flawed."""

    @abstractmethod
    async def save(self, session: Session, values: bytes, /) -> str:
        """Keep a session and return the value of its cookie; empty if it has ended meanwhile."""

    @abstractmethod
    async def forget(self, name: str, /) -> None:
        """Note that the session of an id has ended."""

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Run the call with its session.

        What a call changes is kept if it succeeds or raises an ``Error``, redirects included; an
        unknown exception or a cancellation drops it.
        """
        now = self._clock.wall()
        text = parse_cookies(call.headers.values("cookie")).get(self._options.name, "")
        record = await self.load(text) if text else None
        if record is not None and not self._options.is_alive(record.created, record.renewed, now):
            record = None
        keeping = _Keeping(self, call, Session(record, now), had_cookie=bool(text))
        keeping.prepare(request)
        token = CURRENT.set(keeping.session)
        try:
            result = await next(call, request)
        except Error:
            await keeping.keep()
            raise
        finally:
            CURRENT.reset(token)
        await keeping.keep()
        return result

    async def write(self, call: Call, session: Session, *, had_cookie: bool) -> None:
        """Write a session that was used, and its cookie where that has to change.

        Raises:
            TypeError: It holds what JSON does not know.
            ValueError: It is too large, or holds a number that JSON does not know.
            RuntimeError: It has changed, but the answer has begun.
        """
        values = dump(dict(session))
        if not session:
            if session.replaced:
                await self.forget(session.replaced)
            if not session.is_new and not session.replaced:
                await self.forget(session.record.id)
            if had_cookie:
                set_cookie(call, self._options.cookie(""))
            return
        record = session.record
        now = self._clock.wall()
        due = now - record.renewed > self._options.max_age / _RENEWALS
        if session.is_changed(values) or record.outdated or due:
            record.renewed = now
            set_cookie(call, self._options.cookie(await self.save(session, values)))
        if session.replaced:  # at last: whether it still is there decides about the new one
            await self.forget(session.replaced)


class _Keeping:
    """Writes the session of one call, once."""

    def __init__(
        self, middleware: SessionMiddleware, call: Call, session: Session, *, had_cookie: bool
    ) -> None:
        self.session = session
        self._middleware = middleware
        self._call = call
        self._had_cookie = had_cookie
        self._kept = False

    def prepare(self, request: Any) -> None:
        """See to it that the session is written before the headers of a stream are."""
        arity = self._call.method.arity
        if isinstance(request, Request):
            request.before_answer(self.keep)
        elif arity.client_streams:
            # Its headers are those of the handshake, which is answered before the handler runs.
            self.session.seal()
            self._kept = True
        elif arity.server_streams:
            self._call.on_send(self._before_message)

    async def keep(self) -> None:
        """Write it, unless that was done."""
        if self._kept:
            return
        self._kept = True
        session, call = self.session, self._call
        if call.reply_headers.frozen:
            if session.used and session.is_changed(dump(dict(session))):
                raise RuntimeError("a session was changed after its answer had begun")
        elif session.used:
            call.reply_headers.add("vary", "cookie")
            await self._middleware.write(call, session, had_cookie=self._had_cookie)
        session.seal()

    async def _before_message(self, message: Any) -> Any:
        await self.keep()
        return message
