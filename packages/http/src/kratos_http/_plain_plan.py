"""How a client makes a request that no definition describes."""

from __future__ import annotations

from typing import Any

from kratos.encoding import Codecs
from kratos.transport import Method
from kratos_http._exchange import RawReply
from kratos_http._plan import Body, Plan, is_repeatable
from kratos_http._trouble import frozen
from kratos_http.invocation import ClientReply

__all__ = ["PlainPlan"]


class PlainPlan(Plan):
    """The requests of one verb and operation; they bring everything else along.

    Args:
        method: What is called.
        codecs: For errors, in whatever they come.
    """

    __slots__ = ()

    def __init__(self, method: Method[Any, Any], codecs: Codecs) -> None:
        self.verb = method.http[0].verb
        self.repeatable = is_repeatable(method, self.verb)
        self.accept = "*/*"
        self.upload = self.download = self._envelope = self._form = None
        self._codecs = codecs

    def write(self, request: Any) -> tuple[Plan, str, Body]:
        """Return the target and the body of a request."""
        body = Body(request.content_type, request.data, accept=request.accept)
        return self, request.target, body

    def read(self, reply: RawReply) -> Any:
        """Return the reply.

        Raises:
            Error: What the service answered.
        """
        if not 200 <= reply.status < 300:
            raise self.error(reply)
        headers = frozen(reply.headers)
        return ClientReply(status=reply.status, headers=headers, body=reply.body)
