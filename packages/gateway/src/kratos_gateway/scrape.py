"""``/metrics``, where Go's gateway has it."""

from __future__ import annotations

import inspect
from typing import Final

from kratos.transport.http import Head, Reply
from kratos_http.debug import Negotiating, Rendering

__all__ = ["Scraped"]

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_FORBIDDEN: Final = Reply(
    403,
    ((b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")),
    b"Forbidden\n",
)


class Scraped:
    """Shows metrics to who asks directly; what came through a proxy is refused, as in Go.

    Args:
        meter: Whose figures; one that is ``Negotiating`` besides chooses the format.
    """

    max_body = 0

    def __init__(self, meter: Rendering) -> None:
        self._meter = meter

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Answer."""
        if head.header(b"x-forwarded-for"):
            return _FORBIDDEN
        meter: object = self._meter
        if isinstance(meter, Negotiating):
            accept = b",".join(value for name, value in head.headers if name == b"accept")
            return _shown(*await meter.render_as(accept.decode("latin-1")))
        rendered = self._meter.render()
        text = await rendered if inspect.isawaitable(rendered) else rendered
        return _shown(text, str(getattr(meter, "content_type", _TEXT)))


def _shown(text: str | bytes, kind: str) -> Reply:
    body = text.encode() if isinstance(text, str) else text
    return Reply(200, ((b"content-type", kind.encode()), (b"cache-control", b"no-store")), body)
