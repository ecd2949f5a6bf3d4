"""What the generated code says about one method of a service."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from google.protobuf.message import Message

from kratos.transport.http_options import HttpOptions

__all__ = ["IDEMPOTENT_VERBS", "Arity", "HttpRule", "Method", "Service"]

IDEMPOTENT_VERBS: Final = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))
"""Verbs by which RFC 9110 says that twice is as once (9.2.2)."""

ReqT = TypeVar("ReqT", bound=Message)
RepT = TypeVar("RepT", bound=Message)


class Arity(Enum):
    """How many messages flow each way."""

    UNARY = "unary"
    CLIENT_STREAM = "client_stream"
    SERVER_STREAM = "server_stream"
    BIDI_STREAM = "bidi_stream"

    @property
    def client_streams(self) -> bool:
        """Whether the request is a stream."""
        return self in (Arity.CLIENT_STREAM, Arity.BIDI_STREAM)

    @property
    def server_streams(self) -> bool:
        """Whether the reply is a stream."""
        return self in (Arity.SERVER_STREAM, Arity.BIDI_STREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRule:
    """One binding of ``google.api.http``.

    Attributes:
        verb: HTTP method; ``*`` stands for any.
        path: Path template as the definition has it, for example ``/v1/{name=shelves/*}``.
        body: Field that the body holds; ``*`` for the whole message, empty for no body.
        response_body: Field that the reply's body holds; empty for the whole message.
    """

    verb: str
    path: str
    body: str = ""
    response_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Method(Generic[ReqT, RepT]):
    """One method of a service; generated constants are the only instances needed.

    Attributes:
        operation: ``/package.Service/Method``, the name on every wire and in every log.
        name: Name of the Python method.
        arity: How many messages flow each way.
        request: Type of a request message.
        reply: Type of a reply message.
        idempotent: Whether trying again is harmless.
        http: Bindings, the main one first; clients use that one.
        deprecated: Whether the definition says so.
        http_options: What the definition says about HTTP beside the bindings; ``None`` for
            nothing.
    """

    operation: str
    name: str
    arity: Arity
    request: type[ReqT]
    reply: type[RepT]
    idempotent: bool = False
    http: tuple[HttpRule, ...] = ()
    deprecated: bool = False
    http_options: HttpOptions | None = None

    @property
    def service(self) -> str:
        """Full name of the service in its definition, for example ``helloworld.Greeter``."""
        return self.operation[1:].rpartition("/")[0]

    def __repr__(self) -> str:
        return f"<Method {self.operation} {self.arity.value}>"


# Type checkers must see an abstract class, so that they refuse an incomplete service;
# at run time user classes may have any metaclass, and the mount refuses by name instead.
if TYPE_CHECKING:
    _Base = abc.ABC
else:
    _Base = object


class Service(_Base):
    """Base of every generated service class."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = ()
