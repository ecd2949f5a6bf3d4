"""Which request leads to which method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kratos.transport import Arity, Operation
from kratos.transport.http import Endpoint, Head, Reply
from kratos.transport.safe import is_safe
from kratos_grpc.connect._asked import STREAM, UNARY, Asked
from kratos_grpc.connect._formats import Format, formats_of
from kratos_grpc.connect._stream import StreamEndpoint
from kratos_grpc.connect._terms import Terms
from kratos_grpc.connect._unary import GetEndpoint, UnaryEndpoint
from kratos_http.protocols import Constant

__all__ = ["Routes"]

_GRPC: Final = b"application/grpc"  # also -web, +proto, ...: other protocols at the same paths
_STREAMS: Final = b"application/connect+"
_VERSION: Final = b"connect-protocol-version"
_SLASHES: Final = 2  # of /package.Service/Method
_SHOWN: Final = 128  # bytes of a path that a stranger chose


class Routes:
    """The paths of operations, and what answers there.

    Args:
        operations: What is served.
        terms: What all calls have in common.
        prefix: Before every path, without a slash at its end.
    """

    __slots__ = ("_places", "_prefix")

    def __init__(self, operations: Iterable[Operation], terms: Terms, *, prefix: str = "") -> None:
        self._prefix = prefix.encode()
        self._places = {
            self._prefix + operation.method.operation.encode(): _Place(operation, terms)
            for operation in operations
        }

    def route(self, head: Head, content_type: bytes, /) -> Endpoint | None:
        """Return what answers; ``None`` for what is no request of Connect."""
        place = self._places.get(head.path)
        if place is not None:
            return place.route(head, content_type)
        return self._unknown(head, content_type)

    def _unknown(self, head: Head, content_type: bytes) -> Endpoint | None:
        """Return what answers a call of a method that is not served.

        What is surely none is left to others, and so is what is at the path of no method.
        """
        if not (content_type.startswith(_STREAMS) or head.header(_VERSION)):
            return None
        start, path = self._prefix, head.path
        if not path.startswith(start) or path.count(b"/", len(start)) != _SLASHES:
            return None
        shown = path[len(start) : len(start) + _SHOWN].decode("latin-1")
        return _refused(404, f"no method {shown} is served here")


class _Place:
    """The path of one operation."""

    __slots__ = ("_forms", "_get", "_names", "_operation", "_terms", "_unary", "_verbs")

    def __init__(self, operation: Operation, terms: Terms) -> None:
        method = operation.method
        self._operation = operation
        self._terms = terms
        self._unary = method.arity is Arity.UNARY
        self._forms = formats_of(method)
        kind = b"application/" if self._unary else _STREAMS
        self._names = {kind + name: form for name, form in self._forms.items()}
        self._get = self._unary and is_safe(method)
        self._verbs = b"GET, HEAD, POST" if self._get else b"POST"

    def route(self, head: Head, content_type: bytes) -> Endpoint | None:
        verb = head.method
        if verb == "POST":
            form = self._names.get(content_type)
            if form is None:
                name = content_type.partition(b";")[0].strip().lower()
                if name.startswith(_GRPC):
                    return None
                form = self._names.get(name)
            return self._wrong_type() if form is None else self._endpoint(head, form)
        if self._get and verb in ("GET", "HEAD"):
            asked = Asked(head.headers, UNARY)
            return GetEndpoint(self._operation, self._forms, asked, self._terms)
        return None if verb == "OPTIONS" else self._wrong_verb()

    def _endpoint(self, head: Head, form: Format) -> Endpoint:
        if self._unary:
            asked = Asked(head.headers, UNARY)
            return UnaryEndpoint(self._operation, form, asked, self._terms)
        return StreamEndpoint(self._operation, form, Asked(head.headers, STREAM), self._terms)

    def _wrong_type(self) -> Endpoint:
        types = b", ".join(self._names)
        text = f"{self._operation.method.operation} takes the content types {types.decode()}"
        return _refused(415, text, (b"accept-post", types))

    def _wrong_verb(self) -> Endpoint:
        text = f"{self._operation.method.operation} takes {self._verbs.decode()}"
        return _refused(405, text, (b"allow", self._verbs))


def _refused(status: int, text: str, *headers: tuple[bytes, bytes]) -> Endpoint:
    """Return an answer that is for people: a client of Connect goes by the status alone."""
    plain = (b"content-type", b"text/plain; charset=utf-8")
    return Constant(Reply(status, (plain, *headers), f"{text}\n".encode()))
