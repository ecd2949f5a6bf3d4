"""What gRPC and gRPC-Web have in common as protocols on the port of an HTTP server."""

from __future__ import annotations

from typing import Final

from kratos.transport import Arity, Operation
from kratos.transport.http import Endpoint, Head, Reply
from kratos_grpc._asked import Asked
from kratos_grpc._formats import FORMATS
from kratos_grpc._framing import GRPC, Framing
from kratos_grpc._streamed import RefusalEndpoint, StreamedEndpoint
from kratos_grpc._terms import Terms
from kratos_grpc._unary import UnaryEndpoint
from kratos_grpc._unserved import unserved
from kratos_http.protocols import Constant, HttpProtocol, Served, of_another_server

__all__ = ["BareGrpc", "RpcProtocol"]

_TRAILERS_SINCE: Final = "2"


class RpcProtocol(HttpProtocol):
    """A protocol whose calls end with a status of gRPC, and travel in one way or another.

    Args:
        framings: By content type without a format.
        terms: Of the server.
    """

    def __init__(self, framings: tuple[Framing, ...], terms: Terms) -> None:
        self._terms = terms
        self._kinds = {
            framing.mime + (b"+" + subtype if subtype else b""): (framing, format_)
            for framing in framings
            for subtype, format_ in FORMATS.items()
            if terms.json or subtype != b"json"
        }
        self._prefix = framings[0].mime
        self._operations: dict[str, Operation] = {}
        self._mounted = False

    def mount(self, served: Served, /) -> None:
        """Take what is to be served; see ``HttpProtocol``.

        Raises:
            StartupError: It was mounted before, by another server.
        """
        if self._mounted:
            raise of_another_server(self)
        self._mounted = True
        self._operations = served.operations
        self._terms.place = served.place
        self._terms.health = served.mount.health

    def route(self, head: Head, content_type: bytes, /) -> Endpoint | None:
        """Return what answers a request of this protocol; see ``HttpProtocol``."""
        kind = content_type
        found = self._kinds.get(kind)
        if found is None:
            kind = kind.partition(b";")[0].rstrip().lower()
            if not kind.startswith(self._prefix):
                return None
            found = self._kinds.get(kind)
            if found is None:
                return _wrong_kind(kind) if self._claims(kind) else None
        framing, format_ = found
        if head.method != "POST":
            return _WRONG_METHOD
        if framing.needs_trailers and head.version != _TRAILERS_SINCE:
            return _WRONG_VERSION
        asked = Asked(framing, format_, kind, head.headers, self._terms.coding)
        return self._endpoint(head, asked)

    def _claims(self, kind: bytes) -> bool:
        """Tell whether a content type is of this protocol, in a format that is not read."""
        rest = kind[len(self._prefix) :]
        return rest[:1] in (b"", b"+")

    def _endpoint(self, head: Head, asked: Asked) -> Endpoint:
        path = head.path.decode("utf-8", "replace")
        operation = self._operations.get(path)
        terms = self._terms
        if operation is None:
            return RefusalEndpoint(asked, unserved(path, self._operations), terms)
        if asked.failure is not None:
            return RefusalEndpoint(asked, asked.failure, terms)
        arity = operation.method.arity
        if arity is Arity.UNARY:
            return UnaryEndpoint(operation, asked, terms)
        return StreamedEndpoint(operation, asked, terms)


class BareGrpc(RpcProtocol):
    """gRPC over HTTP/2, without what it brings itself: the server that has it sees to that.

    Args:
        terms: Of the server.
    """

    needs_version: Final = _TRAILERS_SINCE
    """Of HTTP; see ``HttpProtocol``."""

    def __init__(self, terms: Terms) -> None:
        super().__init__((GRPC,), terms)

    @property
    def scheme(self) -> str:
        """``grpc``, by which clients choose it."""
        return "grpc"


def _wrong_kind(kind: bytes) -> Endpoint:
    shown = kind[:64].decode("latin-1")
    return Constant(_plain(415, f"messages in {shown} are not read: application/grpc+proto are"))


def _plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    return Reply(status, ((b"content-type", b"text/plain; charset=utf-8"), *headers), text.encode())


_WRONG_METHOD: Final = Constant(_plain(405, "gRPC calls are POST", (b"allow", b"POST")))
_WRONG_VERSION: Final = Constant(
    _plain(505, "gRPC needs HTTP/2, whose trailers tell how a call ended")
)
