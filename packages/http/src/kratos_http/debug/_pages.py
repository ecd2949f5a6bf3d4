"""Pages for people on this machine."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from kratos.address import split_host_port
from kratos.errors import Error
from kratos.transport.http import Head, Reply
from kratos_http._endpoints import Function
from kratos_http._refusal import JSON, refusal

__all__ = ["Page", "endpoint_of", "json_page", "parameters", "text_page"]

Make: TypeAlias = "Callable[[Head], Awaitable[Reply]]"

_OWN_SITES: Final = (b"", b"none", b"same-origin")  # no browser, its address bar, a page of ours
_UNCACHED: Final = (b"cache-control", b"no-store")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        path: Where it is.
        title: What it shows, in a line.
        make: Makes it; may raise ``Error``.
        verb: HTTP method that asks for it.
    """

    path: str
    title: str
    make: Make
    verb: str = "GET"


def endpoint_of(page: Page) -> Function:
    """Return what serves a page to people on this machine, and refuses others.

    A name in ``Host`` that is not this machine's means that a browser was led here by a page of
    somebody else's, who made his name point to this machine. Such a page may also ask for this
    machine by number; it cannot read the answer, but profiles and counts of objects cost time.
    """

    async def answer(head: Head, _body: bytes) -> Reply:
        if not _is_local(head.peer):
            return refusal(
                Error(403, "NOT_LOCAL", "only peers on this machine may look inside; see debug.md")
            )
        if not _names_this_machine(head.header(b"host").decode("latin-1")):
            return refusal(Error(403, "HOST", "ask for this machine by number, or as localhost"))
        if head.header(b"sec-fetch-site") not in _OWN_SITES:
            return refusal(Error(403, "CROSS_SITE", "a page of another site may not ask for this"))
        try:
            return await page.make(head)
        except Error as error:
            return refusal(error)

    return Function(answer, max_body=0)


def json_page(content: object) -> Reply:
    """Return an answer that shows something as JSON."""
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False)
    return Reply(200, (*JSON, _UNCACHED), f"{text}\n".encode("utf-8", "replace"))


def text_page(text: str) -> Reply:
    """Return an answer that is text."""
    return Reply(200, (_TEXT, _UNCACHED), text.encode("utf-8", "replace"))


def parameters(head: Head, **defaults: float) -> dict[str, Any]:
    """Return numbers from the query.

    Raises:
        Error: 400: one is no number, or is negative.
    """
    given = parse_qs(head.query.decode("latin-1"))
    found: dict[str, float] = {}
    for name, default in defaults.items():
        text = given.get(name, [str(default)])[-1]
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] < float("inf"):
            raise Error(400, "BAD_REQUEST", f"{name}={text!r} must be a number from 0")
    return found


def _is_local(peer: str) -> bool:
    if not peer or peer.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(split_host_port(peer)[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str) -> bool:
    try:
        name = split_host_port(host)[0] if ":" in host.rpartition("]")[2] else host
        name = name.strip("[]")
        return name.lower() == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
