"""What a client is pointed at, as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, cast

from kratos.address import DEFAULT_PORTS
from kratos.errors import TargetError

__all__ = ["FORMS", "Target"]

FORMS: Final = (
    "discovery:///name",
    "direct:///host:port,host:port",
    "host:port",
    "http://host:port",
    "https://host:port",
    "grpc://host:port",
    "grpcs://host:port",
    "unix:/path",
)

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NAMED_HOST: Final = re.compile(r"[^\s:/?#@\[\],%]+")
_NUMBERED_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+(%[^\s:/?#@\[\],%]+)?\]")
_SERVICE: Final = re.compile(r"[^\s?#/][^\s?#]*")
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target, understood.

    Attributes:
        text: As the user wrote it.
        service: Name to look up in a registry; empty when ``addresses`` say it all.
        addresses: ``host:port`` or ``unix:/path``, none twice.
        scheme: ``http`` or ``grpc`` if the text says so.
        secure: Whether to use TLS, if the text says so.
    """

    text: str
    service: str = ""
    addresses: tuple[str, ...] = ()
    scheme: str | None = None
    secure: bool | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """Understand a target.

        Raises:
            TargetError: It has none of the accepted forms; the message names them.
        """
        if not isinstance(cast("object", text), str):
            raise TargetError(
                f"target must be text, not {text!r}: write discovery:///name, "
                "direct:///host:port, or host:port"
            )
        if text.startswith("unix:"):
            return cls(text=text, addresses=(_unix(text),))
        match = _SCHEME.fullmatch(text)
        if match is None:
            return cls(text=text, addresses=(_address(text, text),))
        scheme, rest = match[1].lower(), match[2]
        if scheme == "discovery":
            return cls(text=text, service=_service(text, rest))
        if scheme == "direct":
            return cls(text=text, addresses=_addresses(text, rest))
        if scheme not in ("http", "https", "grpc", "grpcs"):
            raise _refuse(text, f"the scheme {scheme!r} is not known")
        return cls(
            text=text,
            addresses=(_authority(text, scheme, rest),),
            scheme=scheme.removesuffix("s"),
            secure=scheme.endswith("s"),
        )


def _unix(text: str) -> str:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = path[2:]
    if not path.startswith("/") or path == "/" or "\0" in path:
        raise _refuse(text, "a Unix socket needs an absolute path")
    return f"unix:{path}"


def _service(text: str, rest: str) -> str:
    if not rest.startswith("/"):
        raise _refuse(text, "a name to look up comes after three slashes")
    name = rest[1:]
    if not _SERVICE.fullmatch(name):
        raise _refuse(text, "the name of the service is missing or holds blanks, ? or #")
    return name


def _addresses(text: str, rest: str) -> tuple[str, ...]:
    if not rest.startswith("/"):
        raise _refuse(text, "a list of addresses comes after three slashes")
    return tuple(dict.fromkeys(_address(text, each) for each in rest[1:].split(",")))


def _authority(text: str, scheme: str, rest: str) -> str:
    host = rest.removesuffix("/")
    if "/" in host or "?" in host or "#" in host:
        raise _refuse(text, "a path or query cannot be part of a target")
    port = DEFAULT_PORTS.get(scheme)
    if port is not None and (_NAMED_HOST.fullmatch(host) or _NUMBERED_HOST.fullmatch(host)):
        host = f"{host}:{port}"
    return _address(text, host)


def _address(text: str, address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not colon:
        raise _refuse(text, f"{address!r} has no port")
    if not host:
        raise _refuse(text, f"{address!r} has no host")
    if not (_NAMED_HOST.fullmatch(host) or _NUMBERED_HOST.fullmatch(host)):
        raise _refuse(text, f"{host!r} is no host; IPv6 addresses stand in brackets")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= _MAX_PORT):
        raise _refuse(text, f"{port!r} is no port from 1 to {_MAX_PORT}")
    return address


def _refuse(text: str, why: str) -> TargetError:
    return TargetError(f"target {text!r}: {why}; write one of {', '.join(FORMS)}")
