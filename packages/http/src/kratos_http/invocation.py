"""Requests and replies of calls that no definition describes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Arity, Header, HttpRule, Method

__all__ = ["ClientReply", "ClientRequest", "undefined"]

_VERB: Final = re.compile(r"[A-Z][A-Z-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """What middleware sees of a request made with ``HttpClient``.

    Attributes:
        target: Path and query, encoded.
        content_type: Of the body; empty without one.
        data: The body.
        accept: The ``Accept`` header.
        message: The message that the body is, if it is one.
        any_status: Whether an answer of another status than 200 to 299 is a reply, too.
    """

    target: str
    content_type: str = ""
    data: bytes = b""
    accept: str = "*/*"
    message: Message | None = None
    any_status: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReply:
    """An answer with a status of 200 to 299; others are raised, unless any was asked for.

    Attributes:
        status: Its status.
        headers: Its headers.
        body: Its body.
    """

    status: int
    headers: Header
    body: bytes

    @property
    def content_type(self) -> str:
        """The ``Content-Type`` header, empty when it is absent."""
        return self.headers.get("content-type")

    def text(self) -> str:
        """Return the body as text in UTF-8; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            Error: 500 CODEC: it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Error(500, "CODEC", f"the reply cannot be read as JSON: {error}") from error


def undefined(
    verb: str, operation: str, *, idempotent: bool = False, arity: Arity = Arity.UNARY
) -> Method[Any, Any]:
    """Return the method that a request is whose operation is no defined one.

    Args:
        verb: HTTP method.
        operation: Its name for middleware, a path template.
        idempotent: Whether it may be sent again.
        arity: Whether the reply is one, or comes piece by piece, in bytes.

    Raises:
        ValueError: ``verb`` is none.
    """
    if not _VERB.fullmatch(verb):
        raise ValueError(f"{verb!r} is no verb: write GET, POST, ...")
    plain: Any = ClientRequest  # no message, as nothing of what is called is defined
    reply: Any = ClientReply if arity is Arity.UNARY else bytes
    return Method(
        operation=operation,
        name=operation,
        arity=arity,
        request=plain,
        reply=reply,
        idempotent=idempotent,
        http=(HttpRule(verb=verb, path=operation),),
    )
