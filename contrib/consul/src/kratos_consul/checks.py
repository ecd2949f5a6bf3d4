"""Health checks that an agent makes for an instance, beside its heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from kratos.address import join_host_port
from kratos.errors import ConfigError
from kratos.options import require_number

__all__ = ["Endpoint", "GrpcCheck", "HttpCheck", "ServiceCheck", "TcpCheck", "go_duration"]

_TIMEOUT: Final = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint in its parts.

    Attributes:
        text: The whole of it.
        scheme: With its ``s`` for TLS.
        host: An IPv6 address without brackets.
        port: 0 if there is none.
    """

    text: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Take an endpoint apart.

        Raises:
            ValueError: It is none.
        """
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port or 0
        except ValueError as error:
            raise ValueError(f"endpoint {text!r} cannot be registered: {error}") from error
        if not scheme or not host:
            raise ValueError(f"endpoint {text!r} cannot be registered: write scheme://host:port")
        return cls(text=text, scheme=scheme, host=host, port=port)

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return join_host_port(self.host, self.port)


class ServiceCheck(Protocol):
    """A kind of check: what the agent does with endpoints that it fits."""

    def of(self, endpoint: Endpoint, /) -> dict[str, object] | None:
        """Return the check of an endpoint as the API takes it; ``None`` if it does not fit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """Connects to every endpoint.

    Attributes:
        interval: Seconds between two checks, at least 1.
        timeout: Seconds for a connection.
    """

    interval: float = 10.0
    timeout: float = _TIMEOUT

    def __post_init__(self) -> None:
        _require_times(self.interval, self.timeout)

    def of(self, endpoint: Endpoint, /) -> dict[str, object] | None:
        """Return the check of an endpoint."""
        return {"TCP": endpoint.address, **_times(self.interval, self.timeout)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """Asks ``http`` and ``https`` endpoints for a path; 2xx is passing, 429 warning.

    Attributes:
        path: What to ask for. An ``HttpServer`` has ``/readyz`` with ``health_paths`` alone.
        method: Verb.
        headers: Headers of the request.
        interval: Seconds between two checks, at least 1.
        timeout: Seconds for an answer.
        tls_skip_verify: Whether the agent takes any certificate.
        tls_server_name: Name to verify in place of the endpoint's host.
    """

    path: str = "/readyz"
    method: str = "GET"
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    interval: float = 10.0
    timeout: float = _TIMEOUT
    tls_skip_verify: bool = False
    tls_server_name: str = ""

    def __post_init__(self) -> None:
        _require_times(self.interval, self.timeout)
        if not self.path.startswith("/"):
            raise ConfigError(f"path {self.path!r} of an HttpCheck must start with a slash")

    def of(self, endpoint: Endpoint, /) -> dict[str, object] | None:
        """Return the check of an endpoint of HTTP."""
        if endpoint.scheme not in ("http", "https"):
            return None
        check: dict[str, object] = {
            "HTTP": f"{endpoint.scheme}://{endpoint.address}{self.path}",
            "Method": self.method,
            **_times(self.interval, self.timeout),
        }
        if self.headers:
            check["Header"] = {name: list(values) for name, values in self.headers.items()}
        return check | _tls(self.tls_server_name, skip_verify=self.tls_skip_verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCheck:
    """Asks ``grpc`` and ``grpcs`` endpoints by the protocol ``grpc.health.v1``.

    Attributes:
        service: What to ask for; empty for the server as a whole.
        interval: Seconds between two checks, at least 1.
        timeout: Seconds for an answer.
        tls_skip_verify: Whether the agent takes any certificate.
        tls_server_name: Name to verify in place of the endpoint's host.
    """

    service: str = ""
    interval: float = 10.0
    timeout: float = _TIMEOUT
    tls_skip_verify: bool = False
    tls_server_name: str = ""

    def __post_init__(self) -> None:
        _require_times(self.interval, self.timeout)

    def of(self, endpoint: Endpoint, /) -> dict[str, object] | None:
        """Return the check of an endpoint of gRPC."""
        if endpoint.scheme not in ("grpc", "grpcs"):
            return None
        check: dict[str, object] = {
            "GRPC": f"{endpoint.address}/{self.service}" if self.service else endpoint.address,
            **_times(self.interval, self.timeout),
        }
        if endpoint.scheme == "grpcs":
            check["GRPCUseTLS"] = True
        return check | _tls(self.tls_server_name, skip_verify=self.tls_skip_verify)


def go_duration(seconds: float) -> str:
    """Return seconds as Go writes them: ``20s``, ``0.5s``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _require_times(interval: float, timeout: float) -> None:
    for name, value, least in (("interval", interval, 1.0), ("timeout", timeout, 0.001)):
        require_number(name, value, least=least, finite=True)


def _times(interval: float, timeout: float) -> dict[str, object]:
    return {"Interval": go_duration(interval), "Timeout": go_duration(timeout)}


def _tls(server_name: str, *, skip_verify: bool) -> dict[str, object]:
    options: dict[str, object] = {}
    if skip_verify:
        options["TLSSkipVerify"] = True
    if server_name:
        options["TLSServerName"] = server_name
    return options
