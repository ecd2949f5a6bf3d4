"""Ports that are to be free, and servers that are to be there."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

from kratos_cli.doctor.findings import Finding, good, note, problem

__all__ = ["look"]

_USUAL: Final = (8000, 9000)
"""Ports that Kratos' templates serve on."""
_PATIENCE: Final = 3.0  # seconds for a server to answer
_SECURE: Final = ("https", "grpcs", "etcds", "consuls", "rediss", "nacoss", "zookeepers")
_PORTS: Final = {
    "amqp": 5672,
    "consul": 8500,
    "consuls": 8501,
    "etcd": 2379,
    "etcds": 2379,
    "http": 80,
    "https": 443,
    "kafka": 9092,
    "memcached": 11211,
    "mysql": 3306,
    "nacos": 8848,
    "nacoss": 8848,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "zookeeper": 2181,
    "zookeepers": 2181,
}


def look(ports: Iterable[int], urls: Iterable[str]) -> Iterator[Finding]:
    """Yield what was found.

    Args:
        ports: To be free; none for the usual ones, which need not be.
        urls: Of servers.
    """
    wanted = list(ports)
    for port in wanted or _USUAL:
        taken = _taken(port)
        if not taken:
            yield good("ports", f"{port} is free")
        elif wanted:
            yield problem("ports", f"{port} cannot be had: {taken}; stop what has it")
        else:
            yield note("ports", f"{port} cannot be had: {taken}")
    for url in urls:
        yield from _reach(url)


def _taken(port: int) -> str:
    """Return why a server could not listen on a port; empty if it could."""
    with socket.socket() as probe:
        if os.name == "posix":  # as servers do, so that connections that linger do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            return _reason(error)
    return ""


def _reach(url: str) -> Iterator[Finding]:
    try:
        scheme, addresses = _addresses(url)
    except ValueError as error:
        yield problem("servers", f"{_masked(url)}: {error}")
        return
    for host, port in addresses:
        shown = f"{scheme}://{host}:{port}" if scheme else f"{host}:{port}"
        try:
            with socket.create_connection((host, port), timeout=_PATIENCE) as connection:
                if scheme in _SECURE:
                    context = ssl.create_default_context()
                    context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            yield problem("servers", f"{shown} is there, but not trusted: {error.verify_message}")
        except OSError as error:
            yield problem("servers", f"{shown} does not answer: {_reason(error)}; start it")
        else:
            yield good("servers", f"{shown} answers")


def _addresses(url: str) -> tuple[str, list[tuple[str, int]]]:
    """Return the scheme and the hosts of a URL, or of ``host:port``.

    Raises:
        ValueError: It names no host, or no port where the scheme has no usual one.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    scheme = scheme.rpartition("+")[0] or scheme  # postgresql+asyncpg
    hosts = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    found: list[tuple[str, int]] = []
    for each in hosts.split(","):
        parsed = urlsplit(f"//{each}")
        port = parsed.port or _PORTS.get(scheme)
        if not parsed.hostname:
            raise ValueError("it names no host; write scheme://host:port")
        if port is None:
            raise ValueError("it names no port; write scheme://host:port")
        found.append((parsed.hostname, port))
    return scheme, found


def _masked(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
