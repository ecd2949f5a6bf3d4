"""gRPC and gRPC-Web on the port of an HTTP server."""

from __future__ import annotations

from typing import Final

from kratos.options import require_number
from kratos.transport import Arity, Operation
from kratos.transport.http import Endpoint, Head, Reply
from kratos_grpc._asked import Asked
from kratos_grpc._codings import MINIMUM, coding_named
from kratos_grpc._formats import FORMATS
from kratos_grpc._framing import GRPC, WEB, WEB_TEXT, Framing
from kratos_grpc._services import serve_health, serve_reflection
from kratos_grpc._streamed import RefusalEndpoint, StreamedEndpoint
from kratos_grpc._terms import Terms
from kratos_grpc._unary import UnaryEndpoint
from kratos_grpc._unserved import unserved
from kratos_http.protocols import Constant, Served, of_another_server

__all__ = ["Grpc", "GrpcWeb"]

_MEBIBYTE: Final = 1024 * 1024
_TRAILERS_SINCE: Final = "2"


class _RpcProtocol:
    """What both have in common; they differ in how they travel.

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


class Grpc(_RpcProtocol):
    """gRPC over HTTP/2.

    Args:
        max_receive: Bytes of one request message; larger ones end their call with
            RESOURCE_EXHAUSTED before they are read whole.
        max_send: Bytes of one reply message; a larger one ends its call with RESOURCE_EXHAUSTED,
            and is logged. ``None`` for no limit.
        compression: Coding of replies of 1 KiB or more, for clients that read it: ``gzip`` or
            ``deflate``; empty for none. Compressed requests are read in any case.
        json: Whether requests in JSON are taken, too, and answered in JSON.
        health: Whether to serve ``grpc.health.v1.Health`` from the application's table, without
            middleware, unless a service of that name is mounted.
        reflection: Whether to serve ``grpc.reflection``, v1 and v1alpha, within the middleware.

    Raises:
        ConfigError: A limit is not positive, or there is no such coding.
    """

    needs_version: Final = _TRAILERS_SINCE
    """Of HTTP; see ``HttpProtocol``."""

    def __init__(
        self,
        *,
        max_receive: int = 4 * _MEBIBYTE,
        max_send: int | None = None,
        compression: str = "",
        json: bool = True,
        health: bool = True,
        reflection: bool = True,
    ) -> None:
        super().__init__((GRPC,), _terms(max_receive, max_send, compression, json=json))
        self._health = health
        self._reflection = reflection

    @classmethod
    def within(cls, terms: Terms) -> Grpc:
        """Return the protocol for a server that has terms, and brings health and reflection."""
        protocol = cls(health=False, reflection=False, json=terms.json)
        protocol._terms = terms
        return protocol

    @property
    def scheme(self) -> str:
        """``grpc``, by which clients choose it."""
        return "grpc"

    def mount(self, served: Served, /) -> None:
        """Take what is to be served, and add health and reflection; see ``HttpProtocol``.

        Raises:
            StartupError: It was mounted before, by another server.
        """
        super().mount(served)
        if self._health:
            serve_health(served)
        if self._reflection:
            serve_reflection(served)


class GrpcWeb(_RpcProtocol):
    """gRPC-Web, binary and in base64, over HTTP/1.1 and HTTP/2: gRPC for browsers.

    What ``Grpc`` brings besides the services, health and reflection, is served as well if both
    are there. Over HTTP/1.1, calls that stream both ways do so in turns: clients read no reply
    before all their requests are sent.

    Args:
        max_receive: As of ``Grpc``.
        max_send: As of ``Grpc``.
        compression: As of ``Grpc``.
        json: As of ``Grpc``.

    Raises:
        ConfigError: A limit is not positive, or there is no such coding.
    """

    def __init__(
        self,
        *,
        max_receive: int = 4 * _MEBIBYTE,
        max_send: int | None = None,
        compression: str = "",
        json: bool = True,
    ) -> None:
        super().__init__((WEB, WEB_TEXT), _terms(max_receive, max_send, compression, json=json))

    @property
    def scheme(self) -> str:
        """None: browsers look nothing up."""
        return ""


def _terms(max_receive: int, max_send: int | None, compression: str, *, json: bool) -> Terms:
    require_number("max_receive", max_receive, above=0)
    require_number("max_send", max_send, above=0, optional=True)
    coding = coding_named(compression)
    return Terms(
        max_receive=max_receive,
        max_send=max_send,
        coding=coding,
        plain_below=MINIMUM if coding else 0,
        json=json,
    )


def _wrong_kind(kind: bytes) -> Endpoint:
    shown = kind[:64].decode("latin-1")
    return Constant(_plain(415, f"messages in {shown} are not read: application/grpc+proto are"))


def _plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    return Reply(status, ((b"content-type", b"text/plain; charset=utf-8"), *headers), text.encode())


_WRONG_METHOD: Final = Constant(_plain(405, "gRPC calls are POST", (b"allow", b"POST")))
_WRONG_VERSION: Final = Constant(
    _plain(505, "gRPC needs HTTP/2, whose trailers tell how a call ended")
)
