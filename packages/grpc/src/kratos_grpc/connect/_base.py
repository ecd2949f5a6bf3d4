"""What connectors of RPC protocols on HTTP have in common."""

from __future__ import annotations

import ssl
from typing import ClassVar, Final

from kratos.options import require_number
from kratos.selector import Node
from kratos.tls import ClientTls
from kratos_grpc._codings import CODINGS, coding_named
from kratos_grpc.connect._asking import Accepting
from kratos_grpc.connect._client import ClientTerms
from kratos_grpc.connect._formats import JSON, PROTO
from kratos_http import HttpConnector, Proxies
from kratos_http.carrier import Carrier

__all__ = ["RpcConnector"]

_MEBIBYTE: Final = 1024 * 1024
_USER_AGENT: Final = "kratos-python"


class RpcConnector:
    """A connector of an RPC protocol on HTTP; see ``ConnectConnector`` for its options.

    Attributes:
        around: Bytes that a body may have besides its one message.
        terms: What its connections have in common.

    Raises:
        ConfigError: An option has no such value.
    """

    around: ClassVar[int] = 0

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | ClientTls | None = None,
        http2: bool = False,
        proxy: str | Proxies | None = None,
        prefix: str = "",
        json: bool = False,
        compression: str = "",
        max_receive: int = 4 * _MEBIBYTE,
        max_connections: int = 256,
        connect_timeout: float = 5.0,
    ) -> None:
        require_number("max_receive", max_receive, above=0)
        self._http2 = http2
        self.terms = ClientTerms(
            form=JSON if json else PROTO,
            coding=coding_named(compression),
            accepting=Accepting(b",".join(CODINGS)),
            max_receive=max_receive,
            get=False,
        )
        self._http = HttpConnector(
            tls=tls,
            proxy=proxy,
            path_prefix=prefix,
            user_agent=_USER_AGENT,
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            max_reply=max_receive + self.around,
        )

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches, without TLS."""
        return self._http.scheme

    def carrier(self, node: Node) -> Carrier:
        """Return the connections of one node."""
        return self._http.carrier(node, http2=self._http2)
