"""What a client takes out of an envelope that a definition puts around replies and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from kratos.errors import Error
from kratos.transport import Arity, HttpEnvelope, Method
from kratos_http._details import MEMBER, from_json
from kratos_http.envelope import Envelope

__all__ = ["Unwrapping", "unwrapping"]

T = TypeVar("T")


def unwrapping(method: Method[Any, Any]) -> Unwrapping | None:
    """Return how answers of a method are read, ``None`` if they have no envelope.

    Raises:
        ConfigError: The definition asks for an impossible one.
    """
    options = method.http_options
    if options is None or options.envelope is None or method.arity is not Arity.UNARY:
        return None
    return Unwrapping(options.envelope)


class Unwrapping:
    """Reads the answers of one method, all of them JSON.

    Args:
        options: How its envelope looks.

    Raises:
        ConfigError: That is impossible.
    """

    __slots__ = ("_opening", "_options")

    def __init__(self, options: HttpEnvelope) -> None:
        self._options = options
        self._opening = Envelope.of(options).opening

    def read(self, body: bytes, decode: Callable[[bytes], T]) -> T:
        """Return the data of a reply.

        Args:
            body: The envelope.
            decode: Makes a message of the data; it may be tried twice.

        Raises:
            Error: What the service answered; 500 CODEC if this is no envelope, or as
                ``decode`` raises it.
        """
        if body.startswith(self._opening) and body.endswith(b"}"):
            try:
                return decode(body[len(self._opening) : -1])  # as our servers write it
            except Error:  # a stranger's may go on after the data
                pass
        found = _object(body)
        code = None if found is None else found.get(self._options.code_key)
        if found is None or code is None:
            raise Error(500, "CODEC", f"the reply has no {self._options.code_key!r}: no envelope")
        if code != self._options.success:
            raise self._error(found, code if isinstance(code, int) else 500)
        data = found.get(self._options.data_key)
        return decode(b"" if data is None else json.dumps(data).encode())

    def error(self, body: bytes, *, code: int) -> Error | None:
        """Return the error in an answer, ``None`` if there is no envelope around it.

        Args:
            body: The envelope.
            code: The answer's status, which goes over what the envelope says.
        """
        found = _object(body)
        if found is None or self._options.code_key not in found:
            return None
        return self._error(found, code)

    def _error(self, found: dict[str, Any], code: int) -> Error:
        return Error(
            code,
            str(found.get(self._options.reason_key) or ""),
            str(found.get(self._options.message_key) or ""),
            {name: str(value) for name, value in (_dict(found.get("metadata")) or {}).items()},
            details=from_json(found.get(MEMBER)),
        )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _dict(found)


def _dict(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
