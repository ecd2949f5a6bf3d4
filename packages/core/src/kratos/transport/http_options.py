"""What a definition says about a method over HTTP by the options of ``kratos/http.proto``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["HttpEnvelope", "HttpMultipart", "HttpOptions"]

_TRANSPORT: Final = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEnvelope:
    """The object around a method's replies and errors.

    Attributes:
        success: Code of replies.
        message: Message of replies.
        status_ok: Whether errors are sent under 200, too.
        code_key: Name of the code.
        reason_key: Name of the reason; empty to leave it out.
        message_key: Name of the message.
        data_key: Name of the data.
    """

    success: int = 0
    message: str = "ok"
    status_ok: bool = False
    code_key: str = "code"
    reason_key: str = "reason"
    message_key: str = "message"
    data_key: str = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMultipart:
    """A request as a form with files.

    Attributes:
        max_parts: Parts of the largest form; 0 for the server's limit.
        filename: Field that gets the name of the file, empty for none.
    """

    max_parts: int = 0
    filename: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How HTTP serves one method, beside its rules.

    Attributes:
        timeout: Seconds for a call; 0 for no limit, ``None`` for that of server and client.
        max_body: Bytes of the largest request body; 0 for the server's limit.
        envelope: Shape of the answers; ``None`` for replies as they are.
        multipart: Set if the request is a form with files.
    """

    timeout: float | None = None
    max_body: int = 0
    envelope: HttpEnvelope | None = None
    multipart: HttpMultipart | None = None

    def timeout_over(self, transport: str) -> float | None:
        """Return the time limit of calls over a transport, ``None`` for that of its ends."""
        return self.timeout if transport == _TRANSPORT else None
