"""Clients of kazoo, made as this package needs them; kazoo is imported when one is made."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from kratos.tls import ClientTls, Rotation, client_context

__all__ = ["Words", "kazoo", "make_clients"]

# Between attempts to connect; no longer, as a registry that is back is to be used at once.
_RETRY: Final = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 1.0}

_log = logging.getLogger("kratos.zookeeper")


def kazoo(module: str) -> Any:
    """Return a module of kazoo, which has no types."""
    return import_module(f"kazoo.{module}")


class Words(logging.LoggerAdapter[logging.Logger]):
    """kazoo's log: remembers warnings for errors to come; keepers and feeds log what comes of them.

    What is less than a piece of information is dropped: it has whole requests, passwords included.

    Attributes:
        last: What kazoo said last about connecting.
    """

    def __init__(self) -> None:
        super().__init__(_log)
        self.last = ""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Take a record."""
        if level < logging.INFO:
            return
        if level >= logging.WARNING:
            self.last = str(msg) % args if args else str(msg)
        kwargs.pop("exc_info", None)
        super().log(logging.DEBUG, msg, *args, **kwargs)


def make_clients(
    hosts: Sequence[str],
    *,
    session_timeout: float,
    auth: str | None,
    tls: ClientTls | None,
    words: Words,
) -> Callable[[], Any]:
    """Return what makes clients that are not started yet.

    Args:
        hosts: Where servers are, as ``host:port``.
        session_timeout: Seconds of silence after which ZooKeeper ends a session.
        auth: User and password of the scheme ``digest``, with a colon between.
        tls: What makes the connections TLS. Its files are read here, and for new connections again
            when they have changed.
        words: Takes kazoo's log.

    Raises:
        ConfigError: A file of ``tls`` cannot be used.
    """
    rotation = None if tls is None else Rotation(tls, client_context)

    def make() -> Any:
        return kazoo("client").KazooClient(
            hosts=",".join(hosts),
            timeout=session_timeout,
            connection_retry=dict(_RETRY),
            auth_data=[("digest", auth)] if auth else [],
            logger=words,
            use_ssl=tls is not None,
            handler=tls and rotation and _tls_handler(tls, rotation.refresh),
        )

    return make


def _tls_handler(tls: ClientTls, context: Callable[[], ssl.SSLContext]) -> Any:
    """Return a handler of kazoo that connects with a context of ours."""
    handler = kazoo("handlers.threading").SequentialThreadingHandler()
    plain_select = handler.select

    def connect(
        address: tuple[str, int],
        *,
        hostname: str | None = None,
        timeout: float | None = None,
        **_of_kazoo: object,
    ) -> ssl.SSLSocket:
        raw = socket.create_connection(address, timeout)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context().wrap_socket(raw, server_hostname=tls.server_name or hostname)
        except BaseException:
            raw.close()
            raise

    def select(reading: Sequence[Any], *others: Any) -> Any:
        # Two answers may come in one record; no event tells of the second, and kazoo forgets it.
        held = [one for one in reading if isinstance(one, ssl.SSLSocket) and one.pending()]
        return (held, [], []) if held else plain_select(reading, *others)

    handler.create_connection, handler.select = connect, select
    return handler
