"""Connect as a protocol on the port of an HTTP server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kratos.errors import ConfigError
from kratos.options import require_number
from kratos.transport.http import Endpoint, Head
from kratos_grpc._codings import coding_named
from kratos_grpc.connect._routes import Routes
from kratos_grpc.connect._terms import Terms
from kratos_http.protocols import HttpProtocol, Served, of_another_server

__all__ = ["Connect"]

_MEBIBYTE: Final = 1024 * 1024


class Connect(HttpProtocol):
    """The Connect protocol, for ``HttpServer(protocols=[Connect()])``.

    It serves every method of the server's services at ``/package.Service/Method``, in the same
    chains as other protocols do: unary methods as plain POSTs of ``application/json`` or
    ``application/proto``, those without side effects as GETs, too, and methods that stream as
    ``application/connect+json`` or ``+proto``. Methods that stream both ways at once need HTTP/2;
    over HTTP/1.1 a client sends all requests before it reads replies.

    Args:
        prefix: Path before that of every method, for instance ``/api``.
        max_receive: Bytes of the largest request message, before and after it is decompressed.
        max_send: Bytes of the largest reply message; ``None`` for no limit.
        compression: Codings of replies of 1 KiB or more, for clients that read them: ``gzip``,
            ``deflate``; none by default. Compressed requests are read in any case.
        require_version: Whether calls without ``Connect-Protocol-Version: 1`` are refused, which
            clients that were generated send, and people with curl do not.
        request_timeout: Seconds for the one request of a method that streams replies alone.

    Raises:
        ConfigError: An option has no such value.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        max_receive: int = 4 * _MEBIBYTE,
        max_send: int | None = None,
        compression: str | Sequence[str] = (),
        require_version: bool = False,
        request_timeout: float = 30.0,
    ) -> None:
        if prefix and not prefix.startswith("/"):
            raise ConfigError(f"prefix {prefix!r} must start with a slash")
        require_number("max_receive", max_receive, above=0)
        require_number("max_send", max_send, above=0, optional=True)
        require_number("request_timeout", request_timeout, above=0)
        names = (compression,) if isinstance(compression, str) else compression
        self._prefix = prefix.rstrip("/")
        self._terms = Terms(
            max_receive=max_receive,
            max_send=max_send,
            codings=tuple(filter(None, map(coding_named, names))),
            require_version=require_version,
            request_timeout=request_timeout,
        )
        self._routes: Routes | None = None

    @property
    def scheme(self) -> str:
        """No scheme of its own: clients find it at endpoints of HTTP."""
        return ""

    def mount(self, served: Served, /) -> None:
        """Serve what there is; see ``HttpProtocol``.

        Raises:
            StartupError: It was mounted before, by another server.
        """
        if self._routes is not None:
            raise of_another_server(self)
        self._terms.place = served.place
        self._routes = Routes(served.operations.values(), self._terms, prefix=self._prefix)

    def route(self, head: Head, content_type: bytes, /) -> Endpoint | None:
        """Return what answers a call; see ``HttpProtocol``."""
        assert self._routes is not None, "mounted before"
        return self._routes.route(head, content_type)
