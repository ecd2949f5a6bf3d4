"""From requests to messages by decoders of a server's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from kratos.encoding import CodecError
from kratos.encoding.form import bind, parse_query
from kratos.errors import Error
from kratos.transport import HttpRule, Method
from kratos.transport.http import Head
from kratos_http._binding import Binding, frame_field

if TYPE_CHECKING:
    from kratos_http.decoders import Decoders
    from kratos_http.rest import RestOptions

__all__ = ["binding_of", "guarded"]

_log = logging.getLogger("kratos.http")


def binding_of(
    method: Method[Any, Any],
    rule: HttpRule,
    variables: tuple[str, ...],
    options: RestOptions,
    *,
    streamed: bool = False,
) -> Binding:
    """Return what makes the request messages of a rule; see ``Binding``.

    Raises:
        ConfigError: The rule names a field that the request has not, or that cannot be there.
    """
    if options.decoders is None:
        return Binding(method, rule, variables, options.codecs, options.forms, streamed=streamed)
    return _Decoding(method, rule, variables, options, options.decoders, streamed=streamed)


def guarded(operation: str, decode: Callable[[], None]) -> None:
    """Run a decoder of somebody else's.

    Raises:
        Error: It refuses the request; or 500, because it fails otherwise, which is logged.
        CodecError: It refuses the request.
    """
    try:
        decode()
    except (Error, CodecError):
        raise
    except Exception as error:
        _log.exception("%s: a decoder failed", operation)
        raise Error(500, "UNKNOWN", "unknown request error") from error


class _Decoding(Binding):
    """Makes request messages by decoders, and in the usual way where there is none."""

    __slots__ = ("_body", "_decoders", "_operation", "_variables")

    def __init__(
        self,
        method: Method[Any, Any],
        rule: HttpRule,
        variables: tuple[str, ...],
        options: RestOptions,
        decoders: Decoders,
        *,
        streamed: bool,
    ) -> None:
        super().__init__(method, rule, variables, options.codecs, options.forms, streamed=streamed)
        self._operation = method.operation
        self._variables = variables
        self._decoders = decoders
        body = frame_field(method, rule) or "*" if streamed else rule.body
        self._body = "" if body == "*" else body

    def request(self, head: Head, content_type: str, body: bytes) -> Message:
        """Return the request message; see ``Binding``."""
        own, read = self._decoders, self._read
        message = self._type()
        if read is not None and own.body is None:
            message = read(content_type, body)
        elif read is not None and own.body is not None:
            decode = own.body
            guarded(self._operation, lambda: decode(head, body, message, self._body))
        if head.query and self._has_query:
            if own.query is None:
                bind(message, parse_query(head.query))
            else:
                query = own.query
                guarded(self._operation, lambda: query(head, message))
        if own.variables is not None and self._variables:
            values = dict(zip(self._variables, head.params, strict=True))
            variables = own.variables
            guarded(self._operation, lambda: variables(values, message))
        else:
            for put, value in zip(self._setters, head.params, strict=True):
                put(message, value)
        return message
