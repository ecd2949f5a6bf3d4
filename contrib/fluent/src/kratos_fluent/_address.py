"""Addresses and URLs of servers."""

from __future__ import annotations

import socket
from typing import Any, Final

from kratos.errors import ConfigError
from kratos.options import require_number
from kratos.tls import ClientTls, Rotation, client_context, client_tls_of
from kratos.url import Host, Options, Url, mask, parse_url
from kratos_fluent._connection import Endpoint

__all__ = ["arguments_of", "endpoint_of"]

_PORT: Final = 24224
_TEXTS: Final = ("tag_prefix", "mode", "message_key", "shared_key", "hostname")
_FLAGS: Final = ("ack", "compress", "typed")
_NUMBERS: Final = ("limit_bytes", "max_retry")
_TIMES: Final = (
    *("timeout", "write_timeout", "ack_timeout", "retry_wait", "max_retry_wait"),
    *("linger", "patience"),
)


def endpoint_of(
    address: str,
    *,
    tls: ClientTls | None,
    timeout: float,
    write_timeout: float,
    ack_timeout: float,
    shared_key: str,
    username: str,
    password: str,
    hostname: str,
) -> Endpoint:
    """Return what an address names.

    Raises:
        ConfigError: It names nothing, or options do not go together.
    """
    for name, value in (
        ("timeout", timeout),
        ("write_timeout", write_timeout),
        ("ack_timeout", ack_timeout),
    ):
        require_number(name, value, above=0, finite=True)
    if (username or password) and not shared_key:
        raise ConfigError("username and password go with a shared_key, as Fluentd has them")
    url = parse_url(address)
    if url.scheme not in ("tcp", "tls", "unix"):
        raise ConfigError(
            f"unknown network: {url.scheme}; write tcp://host:port, tls://host:port or unix:///path"
        )
    if (tls is not None) and url.scheme != "tls":
        raise ConfigError(f"{mask(address)}: write tls:// for TLS")
    is_path = url.scheme == "unix"
    if is_path is bool(url.hosts) or is_path is not (len(url.path) > 1):
        raise ConfigError(f"{mask(address)}: give one host, or the path of a Unix socket")
    if len(url.hosts) > 1 or url.username is not None or url.query:
        raise ConfigError(f"{mask(address)}: give one host and its port, and nothing else")
    (host,) = url.hosts or (Host(name=""),)
    context = None
    if url.scheme == "tls":
        # Reads the files at once, so that what is wrong with them is known at the start.
        context = Rotation(tls or ClientTls(), client_context).refresh
    return Endpoint(
        address=str(url),
        host=host.name,
        port=host.port or _PORT,
        path=url.path if is_path else "",
        context=context,
        server_name="" if tls is None else tls.server_name or "",
        timeout=timeout,
        write_timeout=write_timeout,
        ack_timeout=ack_timeout,
        shared_key=shared_key,
        username=username,
        password=password,
        hostname=hostname or socket.gethostname(),
    )


def arguments_of(url: Url, /) -> dict[str, Any]:
    """Return the arguments of ``FluentLogger`` that a URL stands for.

    Raises:
        ConfigError: An option is unknown or wrong.
    """
    options = Options(url)
    given: dict[str, Any] = {}
    for names, read, default in (
        (_TEXTS, options.text, ""),
        (_FLAGS, options.flag, False),
        (_NUMBERS, options.integer, 0),
        (_TIMES, options.duration, 0.0),
    ):
        reader: Any = read
        for name in names:
            value = reader(name, default=default)
            if name in url.query:
                given[name] = value
    tls = client_tls_of(url, options, scheme="fluents")
    options.finish()
    if url.username is not None:
        given |= {"username": url.username, "password": url.password or ""}
    if tls is not None:
        given["tls"] = tls
    given["address"] = _place(url)
    return given


def _place(url: Url) -> str:
    """Return the address that a URL of ours stands for."""
    if len(url.hosts) > 1:
        raise ConfigError(f"{url}: give one host; others are for a balancer or a local forwarder")
    is_tls = url.scheme == "fluents"
    if len(url.path) > 1:
        if url.hosts:
            raise ConfigError(f"{url}: a host has no path; a Unix socket is fluent:///path")
        if is_tls:
            raise ConfigError(f"{url}: a Unix socket has no TLS: write fluent://")
        return f"unix://{url.path}"
    if not url.hosts:
        raise ConfigError(f"{url}: give a host, or the path of a Unix socket")
    return f"{'tls' if is_tls else 'tcp'}://{url.hosts[0].address(_PORT)}"
