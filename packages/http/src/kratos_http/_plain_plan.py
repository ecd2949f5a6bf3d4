"""How a client makes a request that no definition describes."""

from __future__ import annotations

from typing import Any, Final

from kratos.encoding import Codecs
from kratos.transport import Arity, Method
from kratos_http._exchange import RawReply
from kratos_http._plan import Body, Plan, is_repeatable
from kratos_http._transfers import Part
from kratos_http._trouble import frozen
from kratos_http.invocation import ClientReply

__all__ = ["PlainPlan"]

_PIECES: Final = Part("*", is_body=True)


class PlainPlan(Plan):
    """The requests of one verb and operation; they bring everything else along.

    Args:
        method: What is called.
        codecs: For errors, in whatever they come.
        any_status: Whether no status is an error.
    """

    __slots__ = ("_any_status", "_lenient")

    def __init__(
        self, method: Method[Any, Any], codecs: Codecs, *, any_status: bool = False
    ) -> None:
        self.verb = method.http[0].verb
        self.repeatable = is_repeatable(method, self.verb)
        self.accept = "*/*"
        self.upload = self._envelope = self._form = None
        self.download = _PIECES if method.arity is Arity.SERVER_STREAM else None
        self._codecs = codecs
        self._any_status = any_status
        self._lenient = self if any_status else PlainPlan(method, codecs, any_status=True)

    def write(self, request: Any) -> tuple[Plan, str, Body]:
        """Return the plan, the target and the body of a request."""
        body = Body(request.content_type, request.data, accept=request.accept)
        return self._lenient if request.any_status else self, request.target, body

    def read(self, reply: RawReply) -> Any:
        """Return the reply.

        Raises:
            Error: What the service answered.
        """
        if not self._any_status and not 200 <= reply.status < 300:
            raise self.error(reply)
        headers = frozen(reply.headers)
        return ClientReply(status=reply.status, headers=headers, body=reply.body)

    def downloads(self, kind: bytes) -> bool:
        """Tell whether the reply is read piece by piece, which events are as well."""
        return self.download is not None

    def piece(self, kind: str, data: bytes) -> Any:
        """Return one piece."""
        return data
