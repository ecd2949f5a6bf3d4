"""The caller's side: one page after another, as they are needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

__all__ = ["follow"]


class _Reply(Protocol):
    """A message with the field that every page has."""

    next_page_token: str


Q = TypeVar("Q")
P = TypeVar("P", bound=_Reply)


async def follow(call: Callable[[Q], Awaitable[P]], request: Q, /) -> AsyncGenerator[P]:
    """Iterate over the pages of a list, beginning with the one that ``request`` asks for.

    Each page is asked for when it is needed. The request itself stays as it is.

    Args:
        call: A method of a client, or a function of a request around one.
        request: A message with ``page_token``.

    Raises:
        Error: As the call; no further page is asked for.
        RuntimeError: The service answers with the token that it was asked with: it would never
            end.
    """
    current: Any = type(request)()
    current.CopyFrom(request)
    while True:
        page = await call(current)
        yield page
        token = page.next_page_token
        if not token:
            return
        if token == current.page_token:
            raise RuntimeError("the next page is the page itself: the service does not advance")
        current.page_token = token
