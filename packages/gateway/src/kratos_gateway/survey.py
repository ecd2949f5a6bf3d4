"""What is wrong with the files of a configuration, each looked at by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from kratos import plugins
from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import TLS, Endpoint, Gateway, Middleware, PriorityConfig
from kratos_gateway.config import Parsed, Problem, problems, read
from kratos_gateway.config.load import misread
from kratos_gateway.config.shape import GROUP
from kratos_gateway.config.trouble import Trouble

__all__ = ["survey"]

M = TypeVar("M", bound=Message)


def survey(
    path: Path,
    priority: str | None = None,
    *,
    discovery: bool | None = None,
    metrics: bool | None = None,
) -> Iterator[tuple[str, Problem]]:
    """Yield what is wrong with the main file and with priority files, with the name of each.

    One that cannot be read keeps nothing from being told of the others.

    Args:
        path: The main file.
        priority: Folder of priority files; ``None`` for none.
        discovery: Whether there will be a registry; ``None`` if that is not known.
        metrics: Whether the gateway will answer ``/metrics`` itself; ``None`` if that is not known.
    """
    main, found = _read(path, Gateway)
    others = [
        (str(each), *_read(each, PriorityConfig))
        for each in (sorted(Path(priority).glob("*.yaml")) if priority else ())
    ]
    yield from ((str(path), each) for each in found)
    store: Mapping[str, TLS] = _Any() if main is None else main.message.tls_store
    sieve = _Sieve(store, discovery=discovery, metrics=metrics)
    if main is not None:
        elsewhere = [
            endpoint
            for _, parsed, _ in others
            for endpoint in (parsed.message.endpoints if parsed is not None else ())
        ]
        yield from ((str(path), each) for each in sieve.problems(main.message, main, elsewhere))
    for name, parsed, found in others:
        yield from ((name, each) for each in found)
        if parsed is not None:
            alone = sieve.alone(parsed.message)
            yield from ((name, each) for each in sieve.problems(alone, parsed))


class _Sieve:
    """Finds what is wrong with what could be read.

    Args:
        store: TLS by name, as the main file has it.
        discovery: As of ``survey``.
        metrics: As of ``survey``.
    """

    def __init__(
        self, store: Mapping[str, TLS], *, discovery: bool | None, metrics: bool | None
    ) -> None:
        self._store = store
        self._discovery = discovery
        self._metrics = metrics
        self._installed = {plugin.name for plugin in plugins.find(GROUP)}

    def problems(
        self, gateway: Gateway, parsed: Parsed[M], elsewhere: Sequence[Endpoint] = ()
    ) -> list[Problem]:
        return problems(
            gateway,
            oddities=parsed.oddities,
            middleware=self._installed,
            discovery=self._discovery,
            complaints=self._complaints,
            metrics=self._metrics,
            elsewhere=elsewhere,
        )

    def alone(self, priority: PriorityConfig) -> Gateway:
        """Return a configuration of what a priority file has, and of names of the main one."""
        asked = {back.tls_config_name for each in priority.endpoints for back in each.backends}
        # What is wrong with them has been told.
        names = {name: TLS() for name in asked if name in self._store}
        return Gateway(endpoints=priority.endpoints, tls_store=names)

    def _complaints(self, middleware: Middleware) -> Sequence[Trouble]:
        from kratos_gateway.middleware.trying import complaints  # most files need none of it

        return asyncio.run(complaints(middleware, store=self._store, discovery=self._discovery))


class _Any(dict[str, TLS]):
    """The TLS of a file that cannot be read: it may have any name."""

    def __contains__(self, _name: object) -> bool:
        return True


def _read(path: Path, message_type: type[M]) -> tuple[Parsed[M] | None, list[Problem]]:
    """Return what a file holds, or why it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [Problem(place="", text=f"it is not UTF-8: {error}")]
    except OSError as error:
        return None, [Problem(place="", text=f"it cannot be read: {error.strerror}")]
    try:
        return read(text, message_type, name=str(path)), []
    except ConfigError:
        found = misread(text, message_type)
    faults = [Problem(place=each.place, text=each.text) for each in found.faults]
    odd = [Problem(place=each.place, text=each.text, fatal=False) for each in found.oddities]
    return None, [*faults, *odd]
