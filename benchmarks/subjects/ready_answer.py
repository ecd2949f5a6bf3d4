"""An ASGI and an RSGI function with a ready answer: the floor of the servers that run them."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["asgi", "rsgi"]

_BODY: Final = b'{"message":"Hello kratos"}'
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
_RSGI_HEADERS: Final = [("content-type", "application/json")]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        continue
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def rsgi(_scope: Any, protocol: Any) -> None:
    """Read the body and answer."""
    await protocol()
    protocol.response_bytes(200, _RSGI_HEADERS, _BODY)
