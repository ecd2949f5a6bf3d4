"""What a plain handler is given: one request, its body whole or in pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import CodecError, Codecs
from kratos.errors import Error
from kratos.transport import Call, Header
from kratos.transport.http import Head
from kratos_http._decoding import guarded
from kratos_http.cookies import parse_cookies
from kratos_http.decoders import Decoders, decode_body, decode_query, decode_variables
from kratos_http.rest import bad_request

__all__ = ["Query", "Request"]

M = TypeVar("M", bound=Message)

_MAX_FIELDS: Final = 1000  # of one query; each costs many times the bytes it takes


class Query(Mapping[str, str]):
    """The fields of a query: the first value of each name, and all of them by ``all``.

    Args:
        raw: The query as it came.

    Raises:
        Error: 400: it has more than 1000 fields.
    """

    __slots__ = ("_fields",)

    def __init__(self, raw: bytes) -> None:
        fields: dict[str, list[str]] = {}
        text = raw.decode("utf-8", "replace")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError as error:
            raise Error(400, "BAD_REQUEST", f"the query is malformed: {error}") from error
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        self._fields = fields

    def all(self, name: str) -> list[str]:
        """Return all values of a name, in order."""
        return list(self._fields.get(name, ()))

    def __getitem__(self, name: str) -> str:
        return self._fields[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Request:
    """One request.

    Args:
        head: What came before the body.
        call: The call that it became.
        params: Values of the path's variables.
        read: Returns the next piece of the body, ``b""`` at its end.
        codecs: For ``bind``.
        decoders: For ``bind`` and its like; ``None`` for the usual ones.

    Attributes:
        call: The call: its deadline, and headers for the reply.
        params: Values of the path's variables, decoded, by name.
    """

    __slots__ = (
        "_before",
        "_codecs",
        "_decoders",
        "_query",
        "_read",
        "_whole",
        "call",
        "head",
        "params",
    )

    def __init__(
        self,
        head: Head,
        call: Call,
        params: Mapping[str, str],
        read: Callable[[], Awaitable[bytes]],
        *,
        codecs: Codecs = encoding.DEFAULT,
        decoders: Decoders | None = None,
    ) -> None:
        self._codecs = codecs
        self._decoders = decoders
        self.head = head
        self.call = call
        self.params = params
        self._read = read
        self._query: Query | None = None
        self._whole: bytes | None = None
        self._before: list[Callable[[], Awaitable[None]]] | None = None

    @property
    def method(self) -> str:
        """Verb, upper case."""
        return self.head.method

    @property
    def path(self) -> str:
        """Raw path as sent, percent-encoded, without the query."""
        return self.head.path.decode("latin-1")

    @property
    def headers(self) -> Header:
        """Headers, names in any case."""
        return self.call.headers

    @property
    def query(self) -> Query:
        """Fields of the query; read when they are first asked for.

        Raises:
            Error: 400: there are too many.
        """
        if self._query is None:
            self._query = Query(self.head.query)
        return self._query

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name; see ``parse_cookies``."""
        return parse_cookies(self.call.headers.values("cookie"))

    def before_answer(self, hook: Callable[[], Awaitable[None]], /) -> None:
        """Call a function before the headers of a stream are sent: for middleware that adds some.

        It is called in the call's task, when the handler has returned its ``StreamReply``; whole
        answers are not sent before the middleware has ended anyway.
        """
        if self._before is None:
            self._before = []
        self._before.append(hook)

    @property
    def has_hooks(self) -> bool:
        """Whether anything is to be called before the answer."""
        return self._before is not None

    async def run_hooks(self) -> None:
        """Call what waits for the answer to begin (for endpoints)."""
        for hook in self._before or ():
            await hook()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it comes; once, and not after ``body``.

        Raises:
            Error: It ended early, is too large (413) or too slow (408).
        """
        while piece := await self._read():
            yield piece

    async def body(self) -> bytes:
        """Return the whole body, as often as it is asked for.

        Raises:
            Error: It ended early, is too large (413) or too slow (408).
        """
        if self._whole is None:
            self._whole = b"".join([piece async for piece in self.pieces()])
        return self._whole

    async def text(self) -> str:
        """Return the whole body as UTF-8.

        Raises:
            Error: 400: it is none; or as ``body``.
        """
        try:
            return (await self.body()).decode()
        except UnicodeDecodeError as error:
            raise Error(400, "CODEC", f"the body is no UTF-8: {error}") from error

    async def json(self) -> Any:
        """Return the value of a body in JSON.

        Raises:
            Error: 400: it is none; or as ``body``.
        """
        try:
            return json.loads(await self.body())
        except (ValueError, RecursionError) as error:
            raise Error(400, "CODEC", f"the body is no JSON: {error}") from error

    async def bind(self, message_type: type[M], /) -> M:
        """Return the body as a message, by its ``Content-Type`` (Go: ``Context.Bind``).

        Raises:
            Error: 400 ``CODEC``: it is malformed, or there is no codec; or as ``body``.
        """
        body = await self.body()
        own = self._decoders.body if self._decoders else None
        message = message_type()
        if own is None:
            self._decode(lambda: decode_body(self.head, body, message, codecs=self._codecs))
        else:
            self._decode(lambda: own(self.head, body, message, ""))
        return message

    def bind_query(self, message_type: type[M], /) -> M:
        """Return the query as a message (Go: ``Context.BindQuery``).

        Raises:
            Error: 400 ``CODEC``: it is malformed, or does not fit.
        """
        own = self._decoders.query if self._decoders else None
        message = message_type()
        if self.head.query:
            self._decode(lambda: (own or decode_query)(self.head, message))
        return message

    def bind_params(self, message_type: type[M], /) -> M:
        """Return the variables of the path as a message (Go: ``Context.BindVars``).

        Raises:
            Error: 400 ``CODEC``: a value does not fit its field.
            ConfigError: The message has no such field.
        """
        own = self._decoders.variables if self._decoders else None
        message = message_type()
        self._decode(lambda: (own or decode_variables)(self.params, message))
        return message

    def _decode(self, decode: Callable[[], None]) -> None:
        try:
            guarded(self.call.method.operation, decode)
        except CodecError as error:
            raise bad_request(error) from error

    def __repr__(self) -> str:
        # The query and values may be credentials; a log line must not carry them.
        return f"<Request {self.method} {self.call.method.operation}>"
