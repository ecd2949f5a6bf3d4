"""gRPC and gRPC-Web on the port of an HTTP server."""

from __future__ import annotations

from typing import Final

from kratos.options import require_number
from kratos_grpc._codings import MINIMUM, coding_named
from kratos_grpc._framing import WEB, WEB_TEXT
from kratos_grpc._rpc_protocol import BareGrpc, RpcProtocol
from kratos_grpc._services import serve_health, serve_reflection
from kratos_grpc._terms import Terms
from kratos_http.protocols import Served

__all__ = ["Grpc", "GrpcWeb"]

_MEBIBYTE: Final = 1024 * 1024


class Grpc(BareGrpc):
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
        super().__init__(_terms(max_receive, max_send, compression, json=json))
        self._health = health
        self._reflection = reflection

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


class GrpcWeb(RpcProtocol):
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
