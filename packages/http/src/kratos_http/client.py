"""Calls without a definition: any verb and path, on the nodes and in the chain of a client."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar, overload
from urllib.parse import urlencode

from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import CodecError, Codecs, content_type
from kratos.errors import ConfigError, Error
from kratos.transport import Arity, Caller, CallOptions, Incoming, Method, Opening
from kratos.transport.rule import PathTemplate
from kratos_http.invocation import ClientReply, ClientRequest, undefined

__all__ = ["HttpClient", "QueryFields"]

M = TypeVar("M", bound=Message)

QueryFields: TypeAlias = Mapping[str, str | Sequence[str]]

_MAX_OPERATIONS: Final = 1024
_REST: Final = "/*"
# What RFC 3986 allows in path and query.
_TARGET: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_OCTETS: Final = "application/octet-stream"


class HttpClient:
    """Calls any path of a service over HTTP (Go: transport/http, Client.Invoke).

        async with Client("discovery:///things", discovery=registry) as caller:
            things = HttpClient(caller)
            thing = await things.request("GET", "/things/{id}", params={"id": "7"}, out=Thing)
            reply = await things.request("POST", "/import", body=data, content_type="text/csv")

    Discovery, selection, middleware, deadline and errors are those of the client. Middleware sees
    a ``ClientRequest``, and the path, before variables are filled in, as the operation. After 1024
    of them each further one is called ``/*``, since operations name metrics and limits.

    Args:
        caller: A ``Client`` over HTTP.
        codec: Name of the codec of messages.
        codecs: Where codecs are found.

    Raises:
        ConfigError: There is no such codec.
    """

    __slots__ = ("_caller", "_codec", "_codecs", "_kind", "_methods", "_operations")

    def __init__(
        self, caller: Caller, /, *, codec: str = "protojson", codecs: Codecs = encoding.DEFAULT
    ) -> None:
        found = codecs.get(codec)
        if found is None:
            raise ConfigError(f"there is no codec {codec!r}: register it, or use protojson")
        self._caller = caller
        self._codec = found
        self._codecs = codecs
        self._kind = content_type(codec)
        self._methods: dict[tuple[str, str, bool, Arity], Method[Any, Any]] = {}
        self._operations: set[str] = set()

    @overload
    async def request(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        query: QueryFields | None = None,
        body: Message | bytes | None = None,
        content_type: str = "",
        out: None = None,
        operation: str = "",
        idempotent: bool = False,
        any_status: bool = False,
        options: CallOptions | None = None,
    ) -> ClientReply: ...

    @overload
    async def request(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        query: QueryFields | None = None,
        body: Message | bytes | None = None,
        content_type: str = "",
        out: type[M],
        operation: str = "",
        idempotent: bool = False,
        options: CallOptions | None = None,
    ) -> M: ...

    async def request(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        query: QueryFields | None = None,
        body: Message | bytes | None = None,
        content_type: str = "",
        out: type[M] | None = None,
        operation: str = "",
        idempotent: bool = False,
        any_status: bool = False,
        options: CallOptions | None = None,
    ) -> ClientReply | M:
        """Call, and return the reply, or the message that it is.

        Args:
            verb: HTTP method, in capitals.
            path: Path as it goes into the URL, query included; with ``params`` a template, whose
                variables they fill in and escape.
            params: Values of the path's variables.
            query: Fields of the query.
            body: A message, or bytes as they are.
            content_type: Of ``body``; by default the codec's, or ``application/octet-stream``.
            out: Type of the message that the reply holds.
            operation: Name of the call in middleware, metrics and logs; by default the path.
            idempotent: Whether the request may be sent twice, though its verb promises nothing.
            any_status: Whether an answer of any status is returned, and none raised: for services
                whose errors are not ours. Not with ``out``.
            options: As of any call.

        Raises:
            Error: What the service answered, or the framework on its behalf; 500 CODEC for a
                reply that is not ``out``; 400 CODEC for a body that the codec cannot express.
            ValueError: Verb or path are malformed, or ``params`` do not fill the path.
            TypeError: ``body`` is neither a message nor bytes, or ``any_status`` meets ``out``.

        Cancellation: cancels the call at the peer.
        """
        if any_status and out is not None:
            raise TypeError("any_status=True returns whatever came: leave out= away, and look")
        kind, data = self._encoded(body, content_type)
        request = ClientRequest(
            target=_target(path, params, query),
            content_type=kind,
            data=data,
            accept="*/*" if out is None else self._kind,
            message=body if isinstance(body, Message) else None,
            any_status=any_status,
        )
        method = self._method(verb, operation or path.partition("?")[0], idempotent=idempotent)
        reply: ClientReply = await self._caller.unary(method, request, options)
        return reply if out is None else self._decoded(reply, out)

    def download(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        query: QueryFields | None = None,
        body: Message | bytes | None = None,
        content_type: str = "",
        operation: str = "",
        options: CallOptions | None = None,
    ) -> Opening[Incoming[bytes]]:
        """Call, and read the reply as it comes, in pieces of no particular size.

            async with things.download("GET", "/export") as pieces:
                async for piece in pieces: ...

        It has no time limit but that of ``options``. Leaving it early cuts the reply off, and
        what breaks off is an error, never an end. An answer that is no success is raised when it
        is entered. Parameters and errors are those of ``request``.
        """
        kind, data = self._encoded(body, content_type)
        request = ClientRequest(
            target=_target(path, params, query),
            content_type=kind,
            data=data,
            message=body if isinstance(body, Message) else None,
        )
        name = operation or path.partition("?")[0]
        method = self._method(verb, name, arity=Arity.SERVER_STREAM)
        opening: Opening[Incoming[bytes]] = self._caller.server_stream(method, request, options)
        return opening

    def _encoded(self, body: Message | bytes | None, kind: str) -> tuple[str, bytes]:
        if body is None:
            return "", b""
        if not isinstance(body, Message):
            return kind or _OCTETS, _as_bytes(body)
        codec = self._codec if not kind else self._codecs.find(kind)
        if codec is None:
            raise Error(400, "CODEC", f"there is no codec for {kind!r}: pass bytes")
        try:
            return kind or self._kind, codec.encode(body)
        except CodecError as error:
            raise Error(400, "CODEC", str(error)) from error

    def _decoded(self, reply: ClientReply, out: type[M]) -> M:
        kind = reply.content_type
        codec = self._codecs.find(kind) or self._codecs.select("").codec
        try:
            return codec.decode(reply.body, out)
        except CodecError as error:
            message = f"the reply cannot be read as {kind or 'json'}: {error}"
            raise Error(500, "CODEC", message) from error

    def _method(
        self, verb: str, operation: str, *, idempotent: bool = False, arity: Arity = Arity.UNARY
    ) -> Method[Any, Any]:
        key = (verb, operation, idempotent, arity)
        method = self._methods.get(key)
        if method is None:
            if operation not in self._operations and len(self._operations) >= _MAX_OPERATIONS:
                return self._method(verb, _REST, idempotent=idempotent, arity=arity)
            self._operations.update((operation, _REST))
            method = self._methods[key] = undefined(
                verb, operation, idempotent=idempotent, arity=arity
            )
        return method


def _as_bytes(body: bytes) -> bytes:
    try:
        return bytes(memoryview(body))  # bytes(5) would be five zeros
    except TypeError as error:
        raise TypeError(
            f"body is a message or bytes, not {type(body).__name__}; for JSON, pass "
            "json.dumps(...).encode() and content_type='application/json'"
        ) from error


_template = lru_cache(maxsize=_MAX_OPERATIONS)(PathTemplate.parse)


def _target(path: str, params: Mapping[str, str] | None, query: QueryFields | None) -> str:
    if params is not None:
        template = _template(path)
        unknown = params.keys() - set(template.variables)
        missing = set(template.variables) - params.keys()
        if unknown or missing:
            names = ", ".join(sorted(unknown or missing))
            problem = "has no variable" if unknown else "lacks a value for"
            raise ValueError(f"path {path!r} {problem} {names}")
        path = template.expand(params.__getitem__)
    elif not _TARGET.fullmatch(path):
        raise ValueError(
            f"path {path!r} must start with a slash and be percent-encoded; pass params={{...}} "
            "to have variables filled in"
        )
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query, doseq=True)
    return path
