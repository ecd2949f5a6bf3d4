"""Addresses as text: ``host:port``, and what a server listens on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from kratos.errors import ConfigError, TargetError

__all__ = ["DEFAULT_PORTS", "Address", "endpoints_of", "join_host_port", "split_host_port"]

DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
"""The port of a URL that names none, by scheme."""

_UNIX: Final = "unix:"
_MAX_PORT: Final = 65535
_ENDPOINT: Final = "write host:port, without a scheme; tls= is what makes it TLS"
_EXAMPLES: Final = "write :8000, 127.0.0.1:8000, [::1]:8000 or unix:/path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Name or number; empty for every address of the machine.
        port: 0 lets the system choose.
        path: Of a Unix socket, in place of the other two.
        mode: Permissions of a Unix socket; ``None`` for what the process's umask leaves. Whoever
            may write to it may connect.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    mode: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``:port``, ``host:port``, ``[IPv6]:port`` or ``unix:/path``.

        Raises:
            TargetError: It is none of these.
        """
        if not isinstance(cast("object", text), str):
            raise TargetError(f"address must be text, not {text!r}; {_EXAMPLES}")
        if text.startswith(_UNIX):
            path = text.removeprefix(_UNIX)
            path = path[2:] if path.startswith("///") else path
            if not path or "\0" in path:
                raise TargetError(f"address {text!r} names no file; {_EXAMPLES}")
            return cls(path=path)
        if "://" in text:
            raise TargetError(f"address {text!r} is a URL; {_EXAMPLES}")
        try:
            host, port = split_host_port(text)
        except ValueError as error:
            raise TargetError(f"{error}; {_EXAMPLES}") from None
        if any(char.isspace() for char in host):
            raise TargetError(f"address {text!r} has blanks in its host; {_EXAMPLES}")
        return cls(host=host, port=port)

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return join_host_port(self.host, self.port)


def split_host_port(address: str) -> tuple[str, int]:
    """Split ``host:port``, ``:port`` or ``[IPv6]:port``.

    Raises:
        ValueError: It is none of these, or the port is not one of 0 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        raise ValueError(f"address {address}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError(f"address {address}: only an IPv6 address stands in brackets")
    elif ":" in host:
        raise ValueError(f"address {address}: an IPv6 address must be written [address]:port")
    if "[" in host or "]" in host or "/" in host:
        raise ValueError(f"address {address}: {host!r} is no host")
    digits = port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT))
    if not digits or int(port) > _MAX_PORT:
        raise ValueError(f"address {address}: the port must be a number from 0 to {_MAX_PORT}")
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoints_of(given: object, *, port: int, option: str = "endpoints") -> tuple[str, ...]:
    """Return where the servers of a back end are, each as ``host:port`` and each once.

    Args:
        given: What an adapter was handed: a list of ``host:port``, or of hosts alone.
        port: The port where none is given.
        option: What the adapter calls it, for errors.

    Raises:
        ConfigError: It is no list, or empty, or something in it is no such place.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Sequence) or not given:
        raise ConfigError(f"{option}={given!r} must be a list of host:port")
    listed = cast("Sequence[object]", given)
    return tuple(dict.fromkeys(_endpoint(one, port, option) for one in listed))


def _endpoint(text: object, default: int, option: str) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"{option}: {text!r} is no text; {_ENDPOINT}")
    if "," in text:
        raise ConfigError(f"{option}: {text!r} are several; list each by itself")
    has_port = ":" in text.rpartition("]")[2]
    try:
        host, port = split_host_port(text if has_port else f"{text}:{default}")
    except ValueError as error:
        raise ConfigError(f"{option}: {error}; {_ENDPOINT}") from error
    if not host.strip():
        raise ConfigError(f"{option}: {text!r} has no host; {_ENDPOINT}")
    return join_host_port(host, port)
